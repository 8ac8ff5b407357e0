import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes

/// One of several tasks that wait for the green light: works while this process leads.
struct GatedTask: Service {
    let name: String
    let latch: LeaderLatch

    func run() async throws {
        // The present state first, then every change, until the process is to end.
        for await state in latch.states.cancelOnGracefulShutdown() {
            guard state.isLeading, let term = latch.term else {
                print("\(name): red, \(state)")
                continue
            }
            print("\(name): green, token \(term.fencingToken)")
            while term.isValid && !Task.isShuttingDownGracefully {
                // Whoever stores the result refuses a token lower than the highest it has seen.
                print("\(name): works, token \(term.fencingToken)")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}

/// Runs tasks of which only those in one process may work.
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
        // They end in the reverse order: the tasks have stopped before the latch gives the place to another process.
        let services: [any Service] = [
            client, latch,
            GatedTask(name: "reminders", latch: latch), GatedTask(name: "clean-up", latch: latch),
        ]
        let group = ServiceGroup(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "tasks"))
        try await group.run()
    }
}
