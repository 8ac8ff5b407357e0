import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A server, a client behind a proxy that can be disturbed, and one that cannot.
struct CacheScene: Sendable {
    var server: TestServer
    var proxy: FaultProxy
    /// The cache's client, behind the proxy.
    var client: ZooKeeperClient
    /// Whoever else changes znodes.
    var other: ZooKeeperClient

    static func with(
        sessionTimeout: Duration = .seconds(4), _ body: (CacheScene) async throws -> Void
    ) async throws {
        try await withSceneServer { server in
            let proxy = try FaultProxy(to: server)
            let near = try ZooKeeperClientConfiguration(
                connectionString: proxy.connectionString, sessionTimeout: sessionTimeout)
            let far = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: far) { other in
                try await withZooKeeperClient(configuration: near) { client in
                    try await body(CacheScene(server: server, proxy: proxy, client: client, other: other))
                }
            }
            await proxy.close()
        }
    }

    /// Has the client lose its connection, and waits until it makes another.
    ///
    /// A cache's `changes` skip to the newest: a loss that is over soon need not be among them.
    func reconnect() async throws {
        let before = proxy.counters.connections
        await proxy.cut()
        try await proxy.waitUntil { $0.connections > before }
    }

    /// What a cache has asked for at its end is done when this returns.
    func settle() async throws {
        // What an answer of before the first one sets off, such as taking a watch away, goes out before the second.
        for _ in 0..<2 { _ = try await client.exists(at: "/") }
    }

    /// What the client has asked the server since requests were last forgotten.
    func requests() async throws -> [ProxiedRequest.Operation] {
        _ = try await client.exists(at: "/marker")
        var operations: [ProxiedRequest.Operation] = []
        while true {
            let request = try await proxy.nextRequest { $0.operation != .ping && $0.path != "/" }
            if request.path == "/marker" { return operations }
            operations.append(request.operation)
        }
    }
}

extension NodeCache {
    /// The first entry, from the current one on, that satisfies a condition.
    @discardableResult
    func entry(where matches: (Entry) -> Bool) async -> Entry {
        for await entry in changes where matches(entry) { return entry }
        return current
    }

    @discardableResult
    func liveEntry(data: [UInt8]) async -> Entry { await entry { $0.isLive && $0.data == data } }

    @discardableResult
    func liveAbsence() async -> Entry { await entry { $0.isLive && $0.content == .absent } }
}
