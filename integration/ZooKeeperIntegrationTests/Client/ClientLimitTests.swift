import Testing
import ZooKeeper
import ZooKeeperTestKit

/// Requests beside a server's `jute.maxbuffer`: what is over it would cost the connection, and is refused before.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ClientLimitTests {
    private static let limit = 20_000

    /// A server with a small `jute.maxbuffer`, and a client that knows of it.
    private static func with(chroot: String = "", _ body: (ClientScene) async throws -> Void) async throws {
        var configuration = TestServerConfiguration()
        configuration.systemProperties["jute.maxbuffer"] = "\(limit)"
        try await withTestServer(configuration: configuration) { server in
            let proxy = try FaultProxy(to: server)
            var near = try ZooKeeperClientConfiguration(connectionString: proxy.connectionString + chroot)
            near.maximumPacketSize = limit
            let far = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: far) { other in
                if !chroot.isEmpty { try await other.create(chroot) }
                try await withZooKeeperClient(configuration: near) { client in
                    try await body(ClientScene(server: server, proxy: proxy, client: client, other: other))
                }
            }
            await proxy.close()
        }
    }

    private typealias Request = @Sendable (ZooKeeperClient, _ filler: Int) async throws -> Void

    private static func path(_ filler: Int) -> String { "/" + String(repeating: "p", count: filler) }
    private static func bytes(_ filler: Int) -> [UInt8] { [UInt8](repeating: 0, count: filler) }

    /// Each kind of request: what it takes with an empty filler and without a chroot, and how many paths it has.
    ///
    /// A header has 8 bytes, a length 4, the list of rights with its one entry 27.
    private static let requests: [(name: String, fixedSize: Int, paths: Int, send: Request)] = [
        ("data of create", 8 + (4 + 2) + 4 + 27 + 4, 1, { try await $0.create("/b", data: bytes($1)) }),
        ("path of create", 8 + (4 + 1) + 4 + 27 + 4, 1, { _ = try await $0.create(path($1)) }),
        ("data of setData", 8 + (4 + 2) + 4 + 4, 1, { try await $0.setData(bytes($1), at: "/a") }),
        ("path of exists", 8 + (4 + 1) + 1, 1, { _ = try await $0.exists(at: path($1)) }),
        ("path of data", 8 + (4 + 1) + 1, 1, { _ = try await $0.data(at: path($1)) }),
        ("path of children", 8 + (4 + 1) + 1, 1, { _ = try await $0.children(of: path($1)) }),
        ("path of delete", 8 + (4 + 1) + 4, 1, { try await $0.delete(path($1)) }),
        ("path of acl", 8 + (4 + 1), 1, { _ = try await $0.acl(at: path($1)) }),
        ("path of setACL", 8 + (4 + 1) + 27 + 4, 1, { try await $0.setACL([.openUnsafe], at: path($1)) }),
        ("path of sync", 8 + (4 + 1), 1, { try await $0.sync(path($1)) }),
        (
            "a transaction", 8 + 9 + (9 + (4 + 2) + 4 + 4) + (9 + (4 + 2) + 4), 2,
            { try await $0.transaction([.setData(bytes($1), at: "/a"), .check("/a")]) }
        ),
        (
            "a credential", 8 + 4 + (4 + 6) + 4 + 5, 0,
            { try await $0.addAuth(.digest(user: "user", password: String(repeating: "x", count: $1))) }
        ),
    ]

    @Test(arguments: ["", "/chroot"])
    func `a request at the limit is answered, and what is over it is refused without disturbing anything`(
        chroot: String
    ) async throws {
        try await Self.with(chroot: chroot) { scene in
            try await scene.client.create("/a")
            let hold = try await scene.hold("/held")
            for (name, fixedSize, paths, send) in Self.requests {
                let most = Self.limit - fixedSize - paths * chroot.utf8.count
                do {
                    try await send(scene.client, most)
                } catch let error as ZooKeeperError {
                    #expect(error.code == .noNode, "\(name): \(error.code)")
                }
                let error = await zooKeeperError { try await send(scene.client, most + 1) }
                #expect(error?.code == .dataTooLarge, "\(name)")
            }
            let acl = (0..<20_000).map { ACL(permissions: .all, scheme: "ip", id: "10.0.\($0 / 256).\($0 % 256)") }
            #expect(await zooKeeperError { try await scene.client.setACL(acl, at: "/a") }?.code == .dataTooLarge)
            #expect(await zooKeeperError { try await scene.client.create("/c", acl: acl) }?.code == .dataTooLarge)
            #expect(hold.isValid && hold.lossReason == nil)
            #expect(scene.proxy.counters.connections == 1)
        }
    }

    @Test func `one byte over the limit costs the connection where the client does not know of it`() async throws {
        try await Self.with { scene in
            try await scene.other.create("/a")
            let most = Self.limit - (8 + (4 + 2) + 4 + 4)
            try await scene.other.setData(Self.bytes(most), at: "/a")
            let error = await zooKeeperError { try await scene.other.setData(Self.bytes(most + 1), at: "/a") }
            #expect(error?.isOutcomeUnknown == true)
        }
    }

    @Test func `an answer may be larger than a request`() async throws {
        try await Self.with { scene in
            for number in 0..<200 { try await scene.other.create("/\(number)".padding(to: 200)) }
            #expect(try await scene.client.children(of: "/").names.count >= 200)
            #expect(scene.proxy.counters.connections == 1)
        }
    }

    @Test func `watches fill the packet that sets them again to its end, and survive a lost connection`() async throws {
        try await Self.with { scene in
            let session = try await scene.client.connectedSession()
            // A vital watch may take all of the room; 100 of them fill the packet to the last byte.
            let room = Self.limit - 28
            let sinks = (0..<100).map { _ in WatchSink { _ in } }
            var used = 0
            for number in sinks.indices {
                let size = number == 99 ? room - used : room / 100
                let path = "/\(number)-".padding(to: size - 4)
                used += size
                let result = try await session.sendAll(.exists(path: path, watch: sinks[number]))[0]
                guard case .failure(let error) = result else { continue }
                #expect(error.code == .noNode)
            }
            #expect(used == room)
            let refused = try await session.sendAll(.exists(path: "/x", watch: WatchSink { _ in }))[0]
            guard case .failure(let error) = refused else {
                Issue.record("a watch that does not fit was not refused")
                return
            }
            #expect(error.isWatchRefusal)
            await scene.proxy.cut()
            try await scene.proxy.waitUntil { $0.connections == 2 }
            #expect(try await scene.client.exists(at: "/") != nil)
            #expect(try await scene.server.counters().watchCount == 100)
            #expect(scene.proxy.counters.connections == 2)
        }
    }
}

extension String {
    fileprivate func padding(to count: Int) -> String { self + String(repeating: "x", count: count - utf8.count) }
}
