import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// A server, a client behind a proxy that can be disturbed, one that cannot, and a task that both take part in.
struct ScheduleScene: Sendable {
    static let path = "/app/settle"

    var server: TestServer
    var proxy: FaultProxy
    /// The client behind the proxy.
    var client: ZooKeeperClient
    /// Whoever else takes part, or looks.
    var other: ZooKeeperClient

    static func with(
        sessionTimeout: Duration = .seconds(4), _ body: @escaping @Sendable (ScheduleScene) async throws -> Void
    ) async throws {
        try await withSceneServer { server in
            let proxy = try FaultProxy(to: server)
            try await makeTestClient(server.connectionString, sessionTimeout: .seconds(20)).running { other in
                try await makeTestClient(proxy.connectionString, sessionTimeout: sessionTimeout).running { client in
                    try await body(ScheduleScene(server: server, proxy: proxy, client: client, other: other))
                }
            }
            await proxy.close()
        }
    }

    /// Lets a node run on the client behind the proxy.
    func near(
        _ schedule: Schedule, _ delivery: TaskDelivery = .atLeastOnce,
        _ configuration: ScheduledTask.Configuration = .init(), ahead: Duration = .zero,
        body: @escaping @Sendable (ScheduledRun) async throws -> Void
    ) throws -> TaskNode {
        try TaskNode(client, "near", schedule, delivery, configuration, ahead: ahead, body)
    }

    /// Lets a node run on the other client.
    func far(
        _ schedule: Schedule, _ delivery: TaskDelivery = .atLeastOnce,
        _ configuration: ScheduledTask.Configuration = .init(), ahead: Duration = .zero,
        body: @escaping @Sendable (ScheduledRun) async throws -> Void
    ) throws -> TaskNode {
        try TaskNode(other, "far", schedule, delivery, configuration, ahead: ahead, body)
    }

    func history() throws -> ScheduledTaskHistory {
        try ScheduledTaskHistory(client: other, path: Self.path)
    }

    func control() throws -> ScheduledTaskControl {
        try ScheduledTaskControl(client: other, path: Self.path, id: "ada")
    }

    /// Waits until the records satisfy a condition.
    @discardableResult
    func runs(where matches: @escaping @Sendable ([RunRecord]) -> Bool) async throws -> [RunRecord] {
        let history = try history()
        return try await withChildrenCache(client: other, path: "\(Self.path)/runs") { cache in
            for await _ in cache.changes {
                let runs = try await history.runs()
                if matches(runs) { return runs }
            }
            throw CancellationError()
        }
    }

    /// Waits until there is a record of a kind.
    @discardableResult
    func run(where matches: @escaping @Sendable (RunRecord) -> Bool) async throws -> RunRecord {
        let runs = try await runs { $0.contains(where: matches) }
        return try #require(runs.first(where: matches))
    }

    /// Deletes the candidate that stands in front, as an administrator might.
    func deleteLeader() async throws {
        let leader = try #require(try await LeaderSelector.leader(client: other, path: "\(Self.path)/leader"))
        try await other.delete("\(Self.path)/leader/\(leader.znode)")
    }
}

/// A node of a task, which runs in a task of its own.
struct TaskNode: Sendable {
    let task: ScheduledTask
    let runner: Task<Void, any Error>

    /// - Parameter ahead: The time by which the node's wall clock is ahead.
    init(
        _ client: ZooKeeperClient, _ node: String, _ schedule: Schedule, _ delivery: TaskDelivery,
        _ configuration: ScheduledTask.Configuration, ahead: Duration = .zero,
        _ body: @escaping @Sendable (ScheduledRun) async throws -> Void
    ) throws {
        let task = try ScheduledTask(
            client: client, path: ScheduleScene.path, id: node, name: "settle", schedule: schedule, delivery: delivery,
            configuration: configuration, logger: client.logger, wallClock: { .now + ahead },
            body: body)
        self.task = task
        runner = Task { try await task.run() }
    }

    /// Waits for a state.
    @discardableResult
    func state(where matches: (ScheduledTaskState) -> Bool) async -> ScheduledTaskState {
        for await state in task.states where matches(state) { return state }
        return .stopped
    }

    /// Waits until it has the schedule.
    func leads() async {
        await state { if case .waiting = $0 { true } else if case .running = $0 { true } else { false } }
    }

    /// Waits until it stands behind another.
    func standsBy() async {
        await state { if case .standby(.some) = $0 { true } else { false } }
    }

    /// Ends it and waits for that.
    func stop() async throws {
        runner.cancel()
        try await runner.value
    }
}

extension Schedule {
    /// Strikes so rarely that a test does not see it.
    static var never: Schedule {
        get throws { try .cron("0 0 29 2 *", in: "UTC") }
    }

    static var everySecond: Schedule {
        get throws { try .every(.seconds(1)) }
    }
}
