import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// Processes orders all day on each node, except while one node runs the daily report alone.
///
///     swift run DailyExclusiveTask 127.0.0.1:2181 alice
@main
struct DailyExclusiveTask {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: DailyExclusiveTask HOST:PORT NAME|now") }
        let (name, path) = (arguments[2], "/examples/report")
        let settings = try ZooKeeperClientConfiguration(connectionString: arguments[1], sessionTimeout: .seconds(4))
        if name == "now" {
            // An operator who does not want to wait for the night requests a run.
            return try await withZooKeeperClient(configuration: settings) { client in
                try await ScheduledTaskControl(client: client, path: path, id: "somebody").runNow()
            }
        }
        let client = try ZooKeeperClient(configuration: settings)
        let mode = try ExclusiveMode(client: client, path: "/examples/orders")
        let gate = mode.gate(id: name)
        let processor = ClosureService {
            let orders = AsyncStream { try? await Task.sleep(for: .milliseconds(10)) }  // replace it with your events
            for await _ in orders.cancelOnGracefulShutdown() {
                try await gate.withSynchronousPermit { permit in
                    print("\(name): an order, token \(permit.fencingToken)")
                }
            }
        }
        var configuration = ScheduledTask.Configuration()
        configuration.exclusive = mode
        configuration.takeover = .resume
        let report = try ScheduledTask(
            client: client, path: path, id: name, name: "report",
            schedule: .daily(at: TimeOfDay(hour: 2, minute: 30), in: "Europe/Berlin"), delivery: .atLeastOnce,
            configuration: configuration
        ) { run in
            let done = run.lastCheckpoint.flatMap { Int($0) } ?? 0
            print("\(name): attempt \(run.attempt) begins after page \(done), token \(run.fencingToken)")
            for page in 1...30 where page > done {
                try await Task.sleep(for: .milliseconds(100))  // replace it with work; cancelled if the run is lost
                // The store of the pages refuses a token lower than the highest it has seen.
                print("\(name): page \(page), token \(run.fencingToken)")
                try await run.checkpoint("\(page)")
            }
        }
        let states = report.states
        let printer = Task { for await state in states { print("\(name): \(state)") } }
        let services: [any Service] = [client, gate, processor, report]
        let group = ServiceGroup(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "orders"))
        try await group.run()
        await printer.value
    }
}
