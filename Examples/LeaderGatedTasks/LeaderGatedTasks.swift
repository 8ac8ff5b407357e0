import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes

/// One of several tasks that wait for the green light: it works while this process is the leader.
struct GatedTask: Service {
    let name: String
    let latch: LeaderLatch

    func run() async throws {
        // The current state first, then every change, until the process shuts down.
        for await state in latch.states.cancelOnGracefulShutdown() {
            guard state.isLeading, let term = latch.term else {
                print("\(name): red, \(state)")
                continue
            }
            print("\(name): green, token \(term.fencingToken)")
            while term.isValid && !Task.isShuttingDownGracefully {
                // The store of the results refuses a token lower than the highest it has seen.
                print("\(name): works, token \(term.fencingToken)")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}

/// Runs tasks in every process; only the tasks of the leader work.
///
///     swift run LeaderGatedTasks 127.0.0.1:2181 alice
@main
struct LeaderGatedTasks {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: LeaderGatedTasks HOST:PORT NAME") }
        let client = try ZooKeeperClient(
            configuration: .init(connectionString: arguments[1], sessionTimeout: .seconds(4)))
        let latch = try LeaderLatch(client: client, path: "/examples/tasks", id: arguments[2])
        // Services end in reverse order: the tasks have stopped before the latch resigns leadership.
        let services: [any Service] = [
            client, latch,
            GatedTask(name: "reminders", latch: latch), GatedTask(name: "clean-up", latch: latch),
        ]
        let group = ServiceGroup(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "tasks"))
        try await group.run()
    }
}
