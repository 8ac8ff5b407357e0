import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// A scheduler that is started with the leadership; the other nodes stand by.
///
///     swift run FailoverScheduler 127.0.0.1:2181 alice
@main
struct FailoverScheduler {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: FailoverScheduler HOST:PORT NAME") }
        let name = arguments[2]
        // Its heartbeats keep the place; when they stop, another node starts its scheduler after the session timeout.
        let client = try ZooKeeperClient(
            configuration: .init(connectionString: arguments[1], sessionTimeout: .seconds(4)))
        let scheduler = try ScheduledTask(
            client: client, path: "/examples/scheduler", id: name, name: "scheduler", schedule: .onLeadership,
            delivery: .atLeastOnce
        ) { run in
            print("\(name) starts, token \(run.fencingToken)")
            // It is cancelled with the leadership, and awaited before another node starts its own.
            defer { print("\(name) has stopped") }
            while true {
                try await Task.sleep(for: .milliseconds(100))
                // A process that was frozen comes back before any signal does: right before what matters, ask.
                guard run.isValid else { return }
                // Whoever takes the message refuses a token lower than the highest it has seen.
                print("\(name) sends what is due, token \(run.fencingToken)")
            }
        }
        let states = scheduler.states
        let printer = Task { for await state in states { print("\(name): \(state)") } }
        let group = ServiceGroup(
            services: [client, scheduler], gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "scheduler"))
        try await group.run()
        await printer.value
    }
}
