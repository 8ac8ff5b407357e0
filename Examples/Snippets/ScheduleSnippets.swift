import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

func schedules() throws -> [ZooKeeperScheduling.Schedule] {
    let nightly = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
    let reports = try Schedule.cron("0 9 * * MON-FRI", in: "Europe/Berlin")
    let sweep = try Schedule.every(.seconds(900))
    return [nightly, reports, sweep]
}

func settle(_ day: String, token: FencingToken) async throws {}

func scheduledTask(client: ZooKeeperClient, logger: Logger) async throws {
    let schedule = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
    let task = try ScheduledTask(
        client: client, path: "/app/settle", id: "batch1", name: "settle", schedule: schedule, delivery: .atLeastOnce
    ) { run in
        try await settle(run.period.id, token: run.fencingToken)
    }
    // In a ServiceGroup the task comes after its client.
    try await ServiceGroup(services: [client, task], logger: logger).run()
}

func nightlyBatch(client: ZooKeeperClient, schedule: ZooKeeperScheduling.Schedule) throws -> ScheduledTask {
    var configuration = ScheduledTask.Configuration()
    configuration.exclusive = try ExclusiveMode(client: client, path: "/orders")
    configuration.drain = .evict(after: .seconds(60))
    configuration.takeover = .resume
    return try ScheduledTask(
        client: client, path: "/app/settle", id: "batch1", name: "settle", schedule: schedule, delivery: .atLeastOnce,
        configuration: configuration
    ) { run in
        for account in try await accounts(after: run.lastCheckpoint) {
            try await settle(account, token: run.fencingToken)
            try await run.checkpoint(account)
        }
    }
}

func finishing() -> ScheduledTask.Configuration {
    var configuration = ScheduledTask.Configuration()
    configuration.onGracefulShutdown = .finishRun
    return configuration
}

func accounts(after account: String?) async throws -> [String] { [] }

func heartbeats(client: ZooKeeperClient) throws -> ScheduledTask {
    try ScheduledTask(
        client: client, path: "/app/scheduler", id: "web1", name: "scheduler", schedule: .onLeadership,
        delivery: .atLeastOnce
    ) { run in
        // Cancelled and awaited before the next node starts its own.
        try await HeartbeatScheduler(token: run.fencingToken).run()
    }
}

struct HeartbeatScheduler: Service {
    var token: FencingToken

    func run() async throws {}
}

func control(client: ZooKeeperClient) async throws {
    let control = try ScheduledTaskControl(client: client, path: "/app/settle", id: "ada")
    try await control.pause(reason: "migration until noon")
}

func history(client: ZooKeeperClient) async throws {
    for run in try await ScheduledTaskHistory(client: client, path: "/app/settle").runs() {
        print(run.period, run.state, run.participantID, run.attempt, run.duration ?? .zero, run.message ?? "")
    }
}
