import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

// The code blocks of README.md and of the guides.

func guidedLock(client: ZooKeeperClient, store: Store, invoice: Invoice) async throws {
    let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "billing 2")
    try await mutex.withLock { lease in  // the closure is cancelled if the lock is lost
        guard lease.isValid else { return }  // false before the server can grant the lock again
        try await store.write(invoice, token: lease.fencingToken)  // the store refuses stale tokens
    }
}

func gettingStarted(store: Store, invoice: Invoice) async throws {
    let settings = try ZooKeeperClientConfiguration(connectionString: "127.0.0.1:2181")
    try await withZooKeeperClient(configuration: settings) { client in
        let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "billing 2")
        try await mutex.withLock { lease in
            try await store.write(invoice, token: lease.fencingToken)
        }
    }
}

func guaranteedWrites(mutex: DistributedMutex, store: Store, invoices: [Invoice]) async throws {
    do {
        try await mutex.withLock { lease in
            for invoice in invoices {
                guard lease.isValid else { return }  // the last step before each write
                try await store.write(invoice, token: lease.fencingToken)
            }
        }
    } catch let error as RecipeError where error.code == .lost {
        // The lock was lost. The closure was cancelled, and it has ended.
    }
}

func pausedProcessor(orders: AsyncStream<Event>, store: Store, logger: Logger) async throws {
    let client = try ZooKeeperClient(configuration: .init(connectionString: "127.0.0.1:2181"))
    let gate = try ExclusiveMode(client: client, path: "/orders").gate()
    let processor = ClosureService {
        for try await (order, permit) in orders.cancelOnGracefulShutdown().gated(by: gate) {
            try store.write(order, token: permit.fencingToken)
        }
    }
    let services: [any Service] = [client, gate, processor]
    try await ServiceGroup(services: services, logger: logger).run()
}

func pausingTask() async throws {
    let settings = try ZooKeeperClientConfiguration(connectionString: "127.0.0.1:2181")
    try await withZooKeeperClient(configuration: settings) { client in
        let mode = try ExclusiveMode(client: client, path: "/orders")
        do {
            try await mode.withWindow(reason: "daily report", drain: .abort(after: .seconds(30))) { window in
                try await report(token: window.fencingToken)
            }
        } catch let error as RecipeError where error.code == .notPaused {
            print("not paused in time:", error.participants)
        }
    }
}

func watchedGate(gate: EventGate, logger: Logger) async {
    for await state in gate.states where !state.isOpen {
        logger.notice("The gate is not open", metadata: ["state": "\(state)"])
    }
}

func configured() throws -> EventGate {
    var settings = try ZooKeeperClientConfiguration(connectionString: "zk1:2181,zk2:2181,zk3:2181/orders")
    settings.sessionTimeout = .seconds(20)
    settings.retry.timeout = .seconds(10)
    let client = try ZooKeeperClient(configuration: settings)

    var configuration = ExclusiveMode.Configuration()
    configuration.eventAllowance = .milliseconds(250)
    let mode = try ExclusiveMode(client: client, path: "/orders", configuration: configuration)
    return mode.gate()
}

func hold(mode: ExclusiveMode, migrate: () async throws -> Void) async throws {
    try await mode.hold(reason: "migration of the database", id: "ada")
    try await mode.waitUntilPaused(timeout: .seconds(60))
    try await migrate()
    try await mode.removeHold("ada")
}
