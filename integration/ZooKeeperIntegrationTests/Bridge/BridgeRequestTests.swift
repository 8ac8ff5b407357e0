import Testing
import ZooKeeperTestKit
import ZooKeeperTransport

@Suite(.timeLimit(.minutes(3)))
struct BridgeRequestTests {
    /// Runs `body` with a session on a server of its own, and ends both.
    private func withSession(_ body: (BridgeSession, TestServer) async throws -> Void) async throws {
        try await withTestServer { server in
            let session = BridgeSession(to: [server.connectionString])
            try await session.connect()
            try await body(session, server)
            await session.connection.close(.endSession)
        }
    }

    private func data(_ session: BridgeSession, _ path: String) async -> (value: [UInt8]?, stat: TransportStat)? {
        guard case .data(let value, let stat) = await session.send(.getData(path: path, watch: false)).body else {
            return nil
        }
        return (value, stat)
    }

    private func expectWatches(_ count: Int, on server: TestServer) async throws {
        let counters = try await server.counters()
        #expect(counters.watchCount == count)
    }

    @Test func `no data, empty data and data stay what they are`() async throws {
        try await withSession { session, _ in
            let values: [[UInt8]?] = [nil, [], [0], Array(repeating: 7, count: 100_000)]
            for (index, value) in values.enumerated() {
                #expect(await session.send(.create("/d\(index)", value)).code == 0)
                let read = try #require(await data(session, "/d\(index)"))
                #expect(read.value == value)
                #expect(read.stat.dataLength == Int32(value?.count ?? 0))
                for other in [[1], nil, [], value] {
                    let reply = await session.send(.setData(path: "/d\(index)", data: other, version: -1))
                    guard case .stat(let stat) = reply.body else {
                        Issue.record("\(reply)")
                        continue
                    }
                    #expect(stat.dataLength == Int32(other?.count ?? 0))
                    #expect(await data(session, "/d\(index)")?.value == other)
                }
            }
        }
    }

    @Test(arguments: [
        TransportCreateMode.persistent, .ephemeral, .persistentSequential, .ephemeralSequential, .container,
        .persistentWithTTL(60_000), .persistentSequentialWithTTL(60_000),
    ])
    func `every kind of create answers with its path and stat`(mode: TransportCreateMode) async throws {
        try await withSession { session, _ in
            let reply = await session.send(.create("/node-", [1, 2], mode: mode))
            guard case .created(let path, let stat) = reply.body else {
                Issue.record("\(reply)")
                return
            }
            #expect(path.hasPrefix("/node-"))
            switch mode {
            case .persistentSequential, .ephemeralSequential, .persistentSequentialWithTTL:
                #expect(path == "/node-0000000000")
            case .persistent, .ephemeral, .container, .persistentWithTTL:
                #expect(path == "/node-")
            }
            #expect(stat.dataLength == 2 && stat.czxid > 0)
            let read = try #require(await data(session, path))
            #expect(read.stat == stat)
            switch mode {
            case .ephemeral, .ephemeralSequential: #expect(stat.ephemeralOwner != 0)
            default: #expect(stat.ephemeralOwner == 0)
            }
        }
    }

    @Test func `the server takes away an empty container and a node whose time is over`() async throws {
        var configuration = TestServerConfiguration()
        configuration.containerCheckInterval = .milliseconds(100)
        try await withTestServer(configuration: configuration) { server in
            let session = BridgeSession(to: [server.connectionString])
            try await session.connect()
            #expect(await session.send(.create("/container", mode: .container)).code == 0)
            #expect(await session.send(.create("/ttl", mode: .persistentWithTTL(100))).code == 0)
            await session.send(.create("/container/child"))
            await session.send(.delete(path: "/container/child", version: -1))
            for path in ["/container", "/ttl"] {
                // Gone already, or its deletion will be told.
                if await session.send(.exists(path: path, watch: true)).code == -101 { continue }
                _ = await session.event { event in
                    if case .watch(let event) = event { event.kind == .deleted && event.path == path } else { false }
                }
            }
            await session.connection.close(.endSession)
        }
    }

    @Test func `children, their parent's stat, ACLs and sync`() async throws {
        try await withSession { session, _ in
            await session.send(.create("/p"))
            for name in ["a", "b", "\u{fc}ber"] { await session.send(.create("/p/\(name)")) }
            guard case .children(let names, let stat) = await session.send(.getChildren(path: "/p", watch: false)).body
            else { throw UnexpectedReply() }
            #expect(Set(names) == ["a", "b", "\u{fc}ber"])
            #expect(stat.numChildren == 3)
            guard case .children([], _) = await session.send(.getChildren(path: "/p/a", watch: false)).body else {
                throw UnexpectedReply()
            }

            let acl = [
                TransportACL(permissions: 31, scheme: "ip", id: "127.0.0.1"),
                TransportACL(permissions: 1, scheme: "world", id: "anyone"),
            ]
            #expect(await session.send(.setACL(path: "/p", acl: acl, version: 0)).code == 0)
            guard case .acl(let read, let aclStat) = await session.send(.getACL(path: "/p")).body else {
                throw UnexpectedReply()
            }
            #expect(read == acl && aclStat.aversion == 1)
            #expect(await session.send(.setACL(path: "/p", acl: [], version: -1)).code == -114)
            #expect(await session.send(.sync(path: "/p")).code == 0)
            #expect(await session.send(.delete(path: "/p", version: -1)).code == -111)
            #expect(await session.send(.delete(path: "/p/a", version: 3)).code == -103)
            #expect(await session.send(.delete(path: "/p/a", version: 0)).code == 0)
            #expect(await session.send(.exists(path: "/p/a", watch: false)).code == -101)
        }
    }

    @Test func `a transaction gives one result an operation when it succeeds`() async throws {
        try await withSession { session, _ in
            await session.send(.create("/m", [9]))
            let reply = await session.send(
                .multi([
                    .check(path: "/m", version: 0),
                    .create(path: "/m/seq-", data: nil, mode: .ephemeralSequential, acl: openACL),
                    .create(path: "/m/empty", data: [], mode: .persistent, acl: openACL),
                    .setData(path: "/m", data: [1, 2, 3], version: 0),
                    .create(path: "/m/gone", data: [4], mode: .ephemeral, acl: openACL),
                    .delete(path: "/m/gone", version: 0),
                ]))
            #expect(reply.code == 0)
            guard case .multi(let results) = reply.body else { throw UnexpectedReply() }
            #expect(results.map(\.code) == [0, 0, 0, 0, 0, 0])
            #expect(results.map(\.path) == [nil, "/m/seq-0000000000", "/m/empty", nil, "/m/gone", nil])
            #expect(results.map { $0.stat?.version } == [nil, nil, nil, 1, nil, nil])
            #expect(await data(session, "/m")?.value == [1, 2, 3])
            let absent = try #require(await data(session, "/m/seq-0000000000"))
            let empty = try #require(await data(session, "/m/empty"))
            #expect(absent.value == nil && empty.value == [])
        }
    }

    @Test func `a transaction that fails names the operation, and does nothing`() async throws {
        try await withSession { session, _ in
            let reply = await session.send(
                .multi([
                    .create(path: "/x", data: nil, mode: .persistent, acl: openACL),
                    .check(path: "/missing", version: 0),
                    .setData(path: "/", data: nil, version: -1),
                ]))
            #expect(reply.code == -101)
            guard case .multi(let results) = reply.body else { throw UnexpectedReply() }
            #expect(results == [0, -101, -2].map { TransportOperationResult(code: $0) })
            #expect(await session.send(.exists(path: "/x", watch: false)).code == -101)

            let alone = await session.send(.multi([.delete(path: "/missing", version: -1)]))
            guard case .multi(let only) = alone.body else { throw UnexpectedReply() }
            #expect(alone.code == -101 && only.map(\.code) == [-101])
        }
    }

    @Test func `a transaction that the server finds ill-formed names the operation as well`() async throws {
        try await withSession { session, _ in
            let reply = await session.send(
                .multi([
                    .create(path: "/x", data: nil, mode: .persistent, acl: openACL),
                    .delete(path: "/zookeeper", version: -1),
                    .check(path: "/", version: -1),
                ]))
            #expect(reply.code == -8)
            guard case .multi(let results) = reply.body else { throw UnexpectedReply() }
            #expect(results == [0, -8, -2].map { TransportOperationResult(code: $0) })

            let alone = await session.send(.multi([.delete(path: "/zookeeper", version: -1)]))
            guard case .multi(let only) = alone.body else { throw UnexpectedReply() }
            #expect(alone.code == -8 && only.map(\.code) == [-8])

            // What the library refuses by itself reached no server, which therefore names no operation.
            let refused = await session.send(.multi([.delete(path: "zookeeper", version: -1)]))
            guard case .none = refused.body else { throw UnexpectedReply() }
            #expect(refused.code == -8)
        }
    }

    @Test func `answers come in the order of the requests, and events between them where they belong`() async throws {
        try await withSession { session, _ in
            await session.send(.create("/o", []))
            for round in 0..<200 {
                session.post(round * 3, .getData(path: "/o", watch: true))
                session.post(round * 3 + 1, .setData(path: "/o", data: [UInt8(round & 0xff)], version: -1))
                session.post(round * 3 + 2, .getData(path: "/o", watch: false))
            }
            _ = await session.journal.first { if case .reply(599, _) = $0 { true } else { false } }
            #expect(session.replies.map(\.number) == Array(0..<600))
            var armed = false
            for entry in session.journal.entries {
                switch entry {
                case .reply(let number, _) where number % 3 == 0: armed = true
                // The change's event comes before the change's own answer.
                case .reply(let number, _) where number % 3 == 1: #expect(!armed)
                case .event(.watch(let event)):
                    #expect(armed && event == TransportWatchEvent(kind: .dataChanged, path: "/o"))
                    armed = false
                default: break
                }
            }
            #expect(session.watchEvents.count == 200)
        }
    }

    @Test func `watches tell each kind of change, and are taken away here and on the server`() async throws {
        try await withSession { session, server in
            #expect(await session.send(.exists(path: "/w", watch: true)).code == -101)
            await session.send(.create("/w"))
            #expect(session.watchEvents.last == TransportWatchEvent(kind: .created, path: "/w"))
            await session.send(.getChildren(path: "/w", watch: true))
            await session.send(.create("/w/c"))
            #expect(session.watchEvents.last == TransportWatchEvent(kind: .childrenChanged, path: "/w"))
            await session.send(.getData(path: "/w/c", watch: true))
            await session.send(.delete(path: "/w/c", version: -1))
            #expect(session.watchEvents.last == TransportWatchEvent(kind: .deleted, path: "/w/c"))

            await session.send(.getData(path: "/w", watch: true))
            await session.send(.getChildren(path: "/w", watch: true))
            await session.send(.exists(path: "/absent", watch: true))
            try await expectWatches(3, on: server)
            #expect(await session.send(.removeWatches(path: "/w", kind: .data)).code == 0)
            #expect(await session.send(.removeWatches(path: "/absent", kind: .data)).code == 0)
            try await expectWatches(1, on: server)
            #expect(await session.send(.removeWatches(path: "/w", kind: .children)).code == 0)
            try await expectWatches(0, on: server)
            #expect(await session.send(.removeWatches(path: "/w", kind: .children)).code == -121)
            let count = session.watchEvents.count
            await session.send(.setData(path: "/w", data: [1], version: -1))
            #expect(session.watchEvents.count == count)
        }
    }
}

struct UnexpectedReply: Error {}
