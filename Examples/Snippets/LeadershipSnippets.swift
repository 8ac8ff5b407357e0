import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

func leaderSelector(client: ZooKeeperClient, store: Store, jobs: AsyncStream<Event>, logger: Logger) async throws {
    let selector = try LeaderSelector(client: client, path: "/app/leader", id: "batch1") { term in
        for await job in jobs { try store.write(job, token: term.fencingToken) }
    }
    // In a ServiceGroup the selector comes after its client.
    try await ServiceGroup(services: [client, selector], logger: logger).run()
}

func leaderLatch(client: ZooKeeperClient, sendReminders: () async throws -> Void) async throws {
    let latch = try LeaderLatch(client: client, path: "/app/leader", id: "web1")
    // In a ServiceGroup the latch comes after its client.
    if latch.isLeader { try await sendReminders() }
}

func migrate(token: FencingToken) async throws {}

func leadership(client: ZooKeeperClient) async throws {
    try await withLeadership(client: client, path: "/app/migration", id: "web1", timeout: .seconds(60)) { term in
        try await migrate(token: term.fencingToken)
    }
}

struct ReportService: Service {
    var token: FencingToken

    func run() async throws {}
}

func leaderGatedService(client: ZooKeeperClient, logger: Logger) async throws {
    let reports = try LeaderGatedService(client: client, path: "/app/reports", id: "batch1") { term in
        ReportService(token: term.fencingToken)
    }
    try await ServiceGroup(services: [client, reports], logger: logger).run()
}

func resignationRequest(client: ZooKeeperClient) async throws {
    let participants = try await LeaderSelector.participants(client: client, path: "/app/leader")
    if let leader = participants.first {
        try await LeaderSelector.requestResignation(
            client: client, path: "/app/leader", id: "ada", from: leader, reason: "maintenance of its host")
    }
}
