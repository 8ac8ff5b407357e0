import ZooKeeper
import ZooKeeperRecipes

func mutex(client: ZooKeeperClient, store: Store, invoice: Invoice) async throws {
    let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "billing 2")
    try await mutex.withLock { lease in
        try await store.write(invoice, token: lease.fencingToken)
    }
}

func mutexHandle(mutex: DistributedMutex) async throws {
    let lease = try await mutex.acquire(timeout: .seconds(5))
    Task {
        for await state in lease.states {
            if state.isAtRisk { beginNothingNew(until: state.atRiskUntil) }
            if state.isLost { stop() }
        }
    }
    // … the work under the lock, in this task or in others …
    let outcome = await lease.release()
    if outcome == .stillTrying { print("the next one has to wait until the ensemble can be reached") }
}

func mutexAgain(mutex: DistributedMutex) async throws {
    try await mutex.withLock { lease in
        try await lease.withLock { inner in  // granted at once: by the lease, not by the task
            try await report(token: inner.fencingToken)
        }
    }
}

func mutexQueue(mutex: DistributedMutex) async throws {
    for entry in try await mutex.queue() {
        print(entry.position, entry.participantID, entry.isHolder ? "holds" : "waits", entry.token as Any)
    }
    if let holder = try await mutex.queue().first {
        try await mutex.requestRelease(from: holder, reason: "the database is moved at noon")
    }
}

func mutexEviction(mutex: DistributedMutex) async throws {
    if let holder = try await mutex.queue().first {
        try await mutex.evict(holder, reason: "its host cannot be reached")
    }
}

func mutexAsked(lease: Lease) async {
    for await request in lease.releaseRequests {
        print("\(request.requesterID) asks for the lock: \(request.reason)")
    }
}

func guardedWrite(lease: Lease) async throws {
    try await lease.transaction([
        .setData(Array("42".utf8), at: "/invoices/last"),
        .create("/invoices/42"),
    ])
}

func semaphore(client: ZooKeeperClient, exportReport: @escaping @Sendable () async throws -> Void) async throws {
    let semaphore = try DistributedSemaphore(client: client, path: "/limits/exports", limit: 3, id: "web 2")
    try await semaphore.withLease { lease in
        try await exportReport()
    }
}

func multiLock(
    source: DistributedMutex, target: DistributedReadWriteLock,
    move: @escaping @Sendable (String, String) async throws -> Void
) async throws {
    let both = try MultiLock([.mutex(source), .write(target)])
    try await both.withLock(timeout: .seconds(10)) { leases in
        try await move(leases.paths[0], leases.paths[1])
    }
}

func fencedNode(client: ZooKeeperClient, lease: Lease) async throws {
    let last = try FencedNode(client: client, path: "/invoices/last")
    try await last.write(Array("42".utf8), under: lease)
}

func fencedFile(lease: Lease, bytes: [UInt8]) async throws {
    let file = FencedFile(path: "/var/lib/billing/last-report")
    try await file.write(bytes, token: lease.fencingToken)
}

func fencedSQL(database: Database, lease: Lease, state: String, paidAt: String, id: Int) async throws {
    let fenced = try FencedSQL(table: "invoices", dialect: .postgreSQL)
    let update = try fenced.update(setting: ["state", "paid_at"], where: ["id"])
    // UPDATE "invoices" SET "state" = $1, "paid_at" = $2, "fencing_token" = $3
    // WHERE "id" = $4 AND ("fencing_token" IS NULL OR "fencing_token" <= $3)
    let rows = try await database.execute(update.text, [state, paidAt, lease.fencingToken.rawValue, id])
    try fenced.record(affectedRows: rows, token: lease.fencingToken)
}
