import ZooKeeper
import ZooKeeperRecipes

func exclusiveMode(client: ZooKeeperClient, store: Store, event: Event) async throws {
    let mode = try ExclusiveMode(client: client, path: "/orders")

    // A processor. The gate is a service, run after the client.
    let gate = mode.gate()
    try await gate.withSynchronousPermit { permit in
        try store.write(event, token: permit.fencingToken)
    }

    // The task.
    try await mode.withWindow(reason: "daily report", drain: .abort(after: .seconds(30))) { window in
        try await report(token: window.fencingToken)
    }
}

func gatedEvents(_ events: AsyncStream<Event>, gate: EventGate, store: Store) async throws {
    for await event in events {
        try await gate.withSynchronousPermit { permit in
            try store.write(event, token: permit.fencingToken)
        }
    }
}

func gatedSequence(_ events: AsyncStream<Event>, gate: EventGate, store: Store) async throws {
    for try await (event, permit) in events.gated(by: gate) {
        try store.write(event, token: permit.fencingToken)
    }
}

func readWriteLock(client: ZooKeeperClient, store: Store, items: [String]) async throws {
    let lock = try DistributedReadWriteLock(client: client, path: "/locks/catalogue", id: "importer 3")
    try await lock.withWriteLock { lease in
        try await store.replaceAll(with: items, token: lease.fencingToken)
    }
}

func patientWriteLock(client: ZooKeeperClient, store: Store, items: [String]) async throws {
    let lock = try DistributedReadWriteLock(client: client, path: "/locks/catalogue", id: "importer 3")
    try await lock.withWriteLock(timeout: .seconds(5)) { lease in
        try await store.replaceAll(with: items, token: lease.fencingToken)
    }
}

func nodeCache(client: ZooKeeperClient) async throws {
    try await withNodeCache(client: client, path: "/service/settings") { cache in
        for await entry in cache.changes {
            if let data = entry.data { apply(data) }
        }
    }
}

func handlingErrors(_ lock: DistributedReadWriteLock, store: Store, items: [String]) async throws {
    do {
        try await lock.withWriteLock(timeout: .seconds(5)) { lease in
            try await store.replaceAll(with: items, token: lease.fencingToken)
        }
    } catch let error as RecipeError where error.code == .timedOut {
        // Other participants held the lock during the whole time: try later.
    } catch let error as RecipeError where error.code == .lost {
        // The operation was cancelled. Earlier writes are stored; the store has refused writes that came too late.
    } catch let error as ZooKeeperError where error.isOutcomeUnknown {
        // A write of the operation may have been executed: check before you repeat it.
    }
}

func mutex(client: ZooKeeperClient, store: Store, invoice: Event) async throws {
    let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "billing 2")
    try await mutex.withLock { lease in
        try store.write(invoice, token: lease.fencingToken)
    }
}
