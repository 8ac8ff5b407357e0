import ZooKeeper
import ZooKeeperRecipes

@main
struct Consumer {
    static func main() async throws {
        let configuration = try ZooKeeperClientConfiguration(connectionString: CommandLine.arguments[1])
        try await withZooKeeperClient(configuration: configuration) { client in
            let mode = try ExclusiveMode(client: client, path: "/consumer")
            let token = try await mode.withWindow(reason: "to see that it links") { window in window.fencingToken }
            print("ran alone with token \(token)")
        }
    }
}
