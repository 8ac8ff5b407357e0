import Testing
import ZooKeeper
import ZooKeeperTestKit

/// A server, a client behind a proxy that can be disturbed, and one that cannot.
struct ClientScene: Sendable {
    var server: TestServer
    var proxy: FaultProxy
    var client: ZooKeeperClient
    /// Whoever else uses the ensemble.
    var other: ZooKeeperClient

    static func with(
        sessionTimeout: Duration = .seconds(4),
        configure: (inout ZooKeeperClientConfiguration) -> Void = { _ in },
        _ body: (ClientScene) async throws -> Void
    ) async throws {
        try await withTestServer { server in
            let proxy = try FaultProxy(to: server)
            var near = try ZooKeeperClientConfiguration(
                connectionString: proxy.connectionString, sessionTimeout: sessionTimeout)
            configure(&near)
            let far = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: far) { other in
                try await withZooKeeperClient(configuration: near) { client in
                    try await body(ClientScene(server: server, proxy: proxy, client: client, other: other))
                }
            }
            await proxy.close()
        }
    }

    /// An own ephemeral znode that is held and whose session has been proved.
    func hold(_ path: String) async throws -> HeldNode {
        let session = try await client.connectedSession()
        let node = try await session.send(.create(path: path, data: [], mode: .ephemeral)).created
        let hold = session.hold(node.path, czxid: node.stat.czxid)
        while !hold.isValid { _ = try await session.send(.multi([.check(path)])) }
        return hold
    }
}

extension ZooKeeperClient {
    /// Waits for a state that is current or comes.
    func wait(for matches: (SessionState) -> Bool) async {
        for await state in states where matches(state) { return }
    }
}

/// The error that some work throws; records an issue when it throws none, or one that is no ``ZooKeeperError``.
func zooKeeperError<Result>(
    sourceLocation: SourceLocation = #_sourceLocation, _ work: () async throws -> Result
) async -> ZooKeeperError? {
    do {
        _ = try await work()
        Issue.record("no error was thrown", sourceLocation: sourceLocation)
    } catch let error as ZooKeeperError {
        return error
    } catch {
        Issue.record("thrown: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}
