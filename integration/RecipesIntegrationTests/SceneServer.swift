import ZooKeeper
import ZooKeeperTestKit

/// Runs a scene on the suite's server, emptied before, when the suite has one; else on a server of its own.
///
/// For suites whose tests run one after the other. A test may stop and restart the server, and must leave it running.
///
/// - Parameter configuration: How a server of its own is set up; `nil` asks for nothing special.
func withSceneServer(
    _ configuration: TestServerConfiguration? = nil, _ body: (TestServer) async throws -> Void
) async throws {
    guard configuration == nil, let server = TestServer.currentServer else {
        return try await withTestServer(configuration: configuration ?? .init(), body)
    }
    // A test that failed may have left it stopped.
    if server.processID == nil { try await server.start() }
    try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
        for name in try await client.children(of: "/").names where name != "zookeeper" {
            try await client.deleteRecursively("/\(name)")
        }
    }
    try await body(server)
}
