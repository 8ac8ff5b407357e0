import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Caches, locks and elections of one client whose watches have to fit into a server's small `jute.maxbuffer`.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct WatchLimitTests {
    private static let limit = 20_000

    /// - Parameter maximumPacketSize: What the client behind the proxy is told.
    private static func with(
        maximumPacketSize: Int = limit, _ body: @escaping @Sendable (CacheScene) async throws -> Void
    ) async throws {
        var configuration = TestServerConfiguration()
        configuration.systemProperties["jute.maxbuffer"] = "\(limit)"
        try await withTestServer(configuration: configuration) { server in
            let proxy = try FaultProxy(to: server)
            var near = try ZooKeeperClientConfiguration(
                connectionString: proxy.connectionString, sessionTimeout: .seconds(2))
            near.maximumPacketSize = maximumPacketSize
            let far = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: far) { other in
                try await withZooKeeperClient(configuration: near) { client in
                    try await body(CacheScene(server: server, proxy: proxy, client: client, other: other))
                }
            }
            await proxy.close()
        }
    }

    /// Creates children with names of this length.
    private static func fill(_ path: String, _ count: Int, nameLength: Int, _ client: ZooKeeperClient) async throws {
        try await client.create(path)
        let names = (0..<count).map { number in
            "\(number)-" + String(repeating: "n", count: nameLength - "\(number)-".utf8.count)
        }
        for start in stride(from: 0, to: count, by: 100) {
            try await client.transaction(
                names[start..<min(start + 100, count)].map { .create("\(path)/\($0)", data: [1]) })
        }
    }

    /// Waits until something has been proved for twice the session timeout.
    private static func outlive(_ client: ZooKeeperClient, _ check: () throws -> Void) async throws {
        let clock = SystemMonotonicClock()
        let end = clock.now + .seconds(4)
        while clock.now < end {
            try check()
            try await clock.sleep(until: clock.now + .milliseconds(50))
        }
    }

    @Test func `a cache with more children than can be watched reconnects once, and is live again`() async throws {
        try await Self.with(maximumPacketSize: Self.limit - 1) { scene in
            try await Self.fill("/g", 300, nameLength: 80, scene.other)
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.entry { $0.isLive && $0.snapshot?.count == 300 }
                let watched = cache.current.snapshot?.filter(\.isWatched) ?? []
                #expect(watched.count > 60 && watched.count < 230)
                let connections = scene.proxy.counters.connections
                for round in 1...3 {
                    try await scene.reconnect()
                    try await scene.other.setData([UInt8(10 + round)], at: watched[0].path)
                    await cache.entry { $0.isLive && $0.snapshot?[path: watched[0].path]?.data == [UInt8(10 + round)] }
                    Self.expect(scene, connections + round)
                }
            }
        }
    }

    @Test func `beside two caches that want all of the room a client locks, leads, holds leases and opens windows`()
        async throws
    {
        try await Self.with { scene in
            for path in ["/one", "/two"] { try await Self.fill(path, 300, nameLength: 90, scene.other) }
            try await withChildrenCache(client: scene.client, path: "/one") { one in
                try await withChildrenCache(client: scene.client, path: "/two") { two in
                    for cache in [one, two] {
                        await cache.entry { $0.isLive && $0.snapshot?.count == 300 }
                        #expect(cache.current.snapshot?.contains { $0.isWatched } == true, "both get some of it")
                    }
                    try await Self.useRecipes(scene)
                }
            }
        }
    }

    private static func useRecipes(_ scene: CacheScene) async throws {
        let (client, other) = (scene.client, scene.other)
        let contestant = try Contestant(client: client, id: "near")
        let term = try await contestant.leads()
        let semaphore = try DistributedSemaphore(client: client, path: "/app/semaphore", limit: 5)
        let leases = [
            try await DistributedMutex(client: client, path: "/app/first").acquire(),
            try await semaphore.acquire(count: 3),
        ]
        // Behind somebody else, which takes a watch on the predecessor.
        let foreign = try await DistributedMutex(client: other, path: "/app/second").acquire()
        let secondMutex = try DistributedMutex(client: client, path: "/app/second")
        let waiting = Task { try await secondMutex.acquire() }
        let connections = scene.proxy.counters.connections
        try await outlive(client) {
            try #require(term.isValid && leases.allSatisfy { $0.isValid }, "\(leases.map(\.state))")
        }
        await foreign.release()
        let second = try await waiting.value
        try await ExclusiveMode(client: client, path: "/app/mode").withWindow(reason: "test") { #expect($0.isValid) }
        try await scene.reconnect()
        try await outlive(client) {
            try #require(term.isValid && second.isValid && leases.allSatisfy { $0.isValid })
        }
        expect(scene, connections + 1)
        for lease in leases + [second] { await lease.release() }
        try await contestant.stop()
    }

    @Test func `a node cache without room for its watch reads at intervals`() async throws {
        try await Self.with(maximumPacketSize: 1025) { scene in
            let path = "/" + String(repeating: "n", count: 900)
            try await scene.other.create(path, data: [1])
            try await withNodeCache(client: scene.client, path: path) { try await Self.follow($0, scene.other) }
            Self.expect(scene, 1)
        }
    }

    /// A packet that is too large would be refused on every connection; a busy machine loses one now and then.
    private static func expect(_ scene: CacheScene, _ connections: Int) {
        #expect((connections...connections + 2).contains(scene.proxy.counters.connections))
    }

    private static func follow(_ cache: NodeCache, _ other: ZooKeeperClient) async throws {
        let first = await cache.entry { $0.data == [1] }
        #expect(!first.isLive)
        try await other.setData([2], at: cache.path)
        await cache.entry { $0.data == [2] }
        try await other.delete(cache.path)
        await cache.entry { $0.content == .absent }
    }
}
