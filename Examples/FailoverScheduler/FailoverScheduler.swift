import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// A scheduler that starts when its node becomes the leader; the other nodes are on standby.
///
///     swift run FailoverScheduler 127.0.0.1:2181 alice
@main
struct FailoverScheduler {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: FailoverScheduler HOST:PORT NAME") }
        let name = arguments[2]
        // Heartbeats keep the leadership. If they stop, another node takes over after the session timeout.
        let client = try ZooKeeperClient(
            configuration: .init(connectionString: arguments[1], sessionTimeout: .seconds(4)))
        let scheduler = try ScheduledTask(
            client: client, path: "/examples/scheduler", id: name, name: "scheduler", schedule: .onLeadership,
            delivery: .atLeastOnce
        ) { run in
            print("\(name) starts, token \(run.fencingToken)")
            // The run is cancelled when leadership ends, and awaited before another node starts its own.
            defer { print("\(name) has stopped") }
            while true {
                try await Task.sleep(for: .milliseconds(100))
                // After a freeze, the process resumes before it is notified: check right before each step.
                guard run.isValid else { return }
                // The receiver of the message refuses a token lower than the highest it has seen.
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
