import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes

/// A service that every process has; only the leader runs it and sends reports.
struct Reporter: Service {
    let name: String
    let token: FencingToken

    func run() async throws {
        let ticks = AsyncStream { try? await Task.sleep(for: .seconds(1)) }
        for await _ in ticks.cancelOnGracefulShutdown() {
            // The store of the reports refuses a token lower than the highest it has seen.
            print("\(name) reports, token \(token)")
        }
    }
}

/// Joins an election under its own name.
///
/// Start it in several terminals, and end the leader:
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
