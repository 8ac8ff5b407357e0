import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes

/// Processes events all day, except in the windows when a task runs alone.
struct Processor: Service {
    let gate: EventGate
    func run() async throws {
        let orders = AsyncStream { try? await Task.sleep(for: .milliseconds(10)) }  // replace it with your events
        for try await (_, permit) in orders.cancelOnGracefulShutdown().gated(by: gate) {
            print("an order, token \(permit.fencingToken)")
        }
    }
}

@main
struct FirstProgram {
    static func main() async throws {
        guard CommandLine.arguments.count > 1 else { return print("usage: FirstProgram HOST:PORT [task]") }
        let settings = try ZooKeeperClientConfiguration(connectionString: CommandLine.arguments[1])
        if CommandLine.arguments.last == "task" {
            try await withZooKeeperClient(configuration: settings) { client in
                try await ExclusiveMode(client: client, path: "/orders").withWindow(reason: "daily report") { window in
                    print("alone, token \(window.fencingToken)")
                    try await Task.sleep(for: .seconds(3))
                }
            }
        } else {
            let client = try ZooKeeperClient(configuration: settings)
            let gate = try ExclusiveMode(client: client, path: "/orders").gate()
            let services: [any Service] = [client, gate, Processor(gate: gate)]
            try await ServiceGroup(
                services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: .current
            ).run()
        }
    }
}
