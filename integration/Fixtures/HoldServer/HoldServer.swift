import Glibc
import ZooKeeperTestKit

/// Starts a server, says the id of its process, and holds it until killed: for the test that kills it.
@main
struct HoldServer {
    static func main() async throws {
        try await withTestServer { server in
            print(server.processID ?? 0)
            print(server.dataFolder)
            fflush(nil)
            try await Task.sleep(for: .seconds(600))
        }
    }
}
