import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes

/// Runs in every process; sends its reports only from the one that leads.
struct Reporter: Service {
    let name: String
    let token: FencingToken

    func run() async throws {
        let ticks = AsyncStream { try? await Task.sleep(for: .seconds(1)) }
        for await _ in ticks.cancelOnGracefulShutdown() {
            // Whoever stores the report refuses a token lower than the highest it has seen.
            print("\(name) reports, token \(token)")
        }
    }
}

/// Stands for election under a name of its own.
///
/// Start it in several terminals, and end the one that leads:
///
///     swift run LeaderElection 127.0.0.1:2181 alice
///     swift run LeaderElection 127.0.0.1:2181 bob
@main
struct LeaderElection {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: LeaderElection HOST:PORT NAME") }
        let name = arguments[2]
        let client = try ZooKeeperClient(
            configuration: .init(connectionString: arguments[1], sessionTimeout: .seconds(4)))
        let reports = try LeaderGatedService(client: client, path: "/reports/leader", id: name) { term in
            Reporter(name: name, token: term.fencingToken)
        }
        let states = reports.selector.states
        let printer = Task { for await state in states { print("\(name): \(state)") } }
        let group = ServiceGroup(
            services: [client, reports], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "election")
        )
        try await group.run()
        await printer.value
    }
}
