import Testing
import ZooKeeperTestKit
import ZooKeeperTransport

@Suite(.timeLimit(.minutes(5)))
struct BridgeSessionTests {
    private func credential(_ text: String, scheme: String = "digest") -> TransportCredential {
        TransportCredential(scheme: scheme, credential: Array(text.utf8))
    }

    private let creatorACL = [TransportACL(permissions: 31, scheme: "auth", id: "")]

    @Test func `rule 4: 1,000 requests in flight at a real server all complete when closed, 100 times`() async throws {
        try await withTestServer { server in
            for round in 0..<100 {
                let session = BridgeSession(to: [server.connectionString])
                try await session.connect()
                for number in 0..<1_000 { session.post(number, .getData(path: "/", watch: false)) }
                await session.connection.close(round.isMultiple(of: 2) ? .endSession : .keepSession)
                let replies = session.replies
                #expect(replies.count == 1_000)
                #expect(Set(replies.map(\.number)).count == 1_000)
                #expect(replies.allSatisfy { $0.reply.code == 0 || $0.reply.code == -116 })
            }
        }
    }

    @Test func `rule 9: an event of the session comes once, however many watches there are`() async throws {
        try await withTestServer { server in
            let session = BridgeSession(to: [server.connectionString], timeout: 10_000)
            let granted = try await session.connect()
            for number in 0..<1_000 { session.post(number, .exists(path: "/absent-\(number)", watch: true)) }
            await session.send(.sync(path: "/"))
            await server.stop()
            try await server.start()
            let index = session.journal.entries.firstIndex {
                if case .event(.disconnected) = $0 { true } else { false }
            }
            let again = try await session.connected(from: try #require(index))
            #expect(again == granted)
            #expect(session.count { if case .disconnected = $0 { true } else { false } } == 1)
            #expect(session.count { if case .connected = $0 { true } else { false } } == 2)
            // The watches have been set again.
            await session.send(.create("/absent-500"))
            #expect(session.watchEvents == [TransportWatchEvent(kind: .created, path: "/absent-500")])
            await session.connection.close(.endSession)
        }
    }

    @Test func `rule 5: a session that ends on the server leaves nothing unanswered`() async throws {
        try await withTestServer { server in
            let session = BridgeSession(to: [server.connectionString], timeout: 2_000)
            let granted = try await session.connect()
            await session.send(.create("/mine", mode: .ephemeral))
            // The session's own client may take it back before it has been ended; then once more.
            var isEnded = false
            while !isEnded {
                do {
                    try await server.expireSession(id: granted.id, password: granted.password)
                    isEnded = true
                } catch let error as TestKitError where error.code == .noResponse {
                    continue
                } catch let error as TestKitError where error.code == .sessionNotFound {
                    isEnded = true
                }
            }
            _ = await session.event { if case .expired = $0 { true } else { false } }
            for number in 0..<100 { session.post(number, .getData(path: "/", watch: false)) }
            await session.connection.close(.endSession)
            #expect(session.replies.count == 100)
            #expect(session.replies.allSatisfy { [-9, -112].contains($0.reply.code) })
            let observer = BridgeSession(to: [server.connectionString])
            try await observer.connect()
            #expect(await observer.send(.exists(path: "/mine", watch: false)).code == -101)
            await observer.connection.close(.endSession)
        }
    }

    @Test func `rule 15: a credential's completion may use the connection`() async throws {
        try await withTestServer { server in
            let session = BridgeSession(to: [server.connectionString])
            try await session.connect()
            let code: ReplyCode = await withCheckedContinuation { continuation in
                session.connection.submit(.addAuth(credential("someone:secret"))) { _ in
                    session.connection.submit(.getData(path: "/", watch: false)) { reply in
                        continuation.resume(returning: reply.code)
                    }
                }
            }
            #expect(code == 0)
            let reply = await session.send(.create(path: "/theirs", data: nil, mode: .persistent, acl: creatorACL))
            #expect(reply.code == 0)

            let stranger = BridgeSession(to: [server.connectionString])
            try await stranger.connect()
            #expect(await stranger.send(.getData(path: "/theirs", watch: false)).code == -102)
            await stranger.connection.close(.endSession)
            await session.connection.close(.endSession)
        }
    }

    @Test func `rule 15: a credential that is on its way when the connection goes is answered`() async throws {
        try await withTestServer { server in
            for _ in 0..<20 {
                let session = BridgeSession(to: [server.connectionString])
                try await session.connect()
                try server.pause()
                for number in 0..<5 { session.post(number, .addAuth(credential("a\(number):b"))) }
                for number in 5..<10 { session.post(number, .getData(path: "/", watch: false)) }
                await session.connection.close(.keepSession)
                try server.resume()
                #expect(session.replies.count == 10)
            }
        }
    }

    @Test func `the endpoint's credentials hold from the first request on, and after a reconnect`() async throws {
        try await withTestServer { server in
            for round in 0..<50 {
                let session = BridgeSession(
                    to: [server.connectionString], timeout: 10_000,
                    credentials: [credential("first:1"), credential("second:2")])
                try await session.connect()
                let path = "/round-\(round)"
                let reply = await session.send(.create(path: path, data: nil, mode: .persistent, acl: creatorACL))
                #expect(reply.code == 0)
                guard case .acl(let acl, _) = await session.send(.getACL(path: path)).body else {
                    throw UnexpectedReply()
                }
                #expect(acl.count == 2)
                if round == 49 {
                    await server.stop()
                    try await server.start()
                    while await session.send(.getData(path: path, watch: false)).code != 0 { await Task.yield() }
                }
                await session.connection.close(.endSession)
            }
        }
    }

    @Test func `a credential that is refused ends the connection`() async throws {
        try await withTestServer { server in
            let session = BridgeSession(to: [server.connectionString])
            try await session.connect()
            #expect(await session.send(.addAuth(credential("x", scheme: "nonesuch"))).code == -115)
            _ = await session.event { if case .authenticationFailed = $0 { true } else { false } }
            for number in 0..<10 { session.post(number, .getData(path: "/", watch: false)) }
            #expect(await session.send(.addAuth(credential("a:b"))).code == -9)
            #expect(await session.send(.multi([.check(path: "/", version: -1)])).code == -4)
            await session.connection.close(.endSession)
            #expect(session.replies.count == 10)
            #expect(session.replies.allSatisfy { [-9, -115].contains($0.reply.code) })

            let other = BridgeSession(
                to: [server.connectionString], credentials: [credential("x", scheme: "nonesuch")])
            other.connection.open()
            _ = await other.event { if case .authenticationFailed = $0 { true } else { false } }
            await other.connection.close(.endSession)
        }
    }

    @Test func `servers are tried in order, and the others when one is gone`() async throws {
        try await withTestServer { server in
            let session = BridgeSession(to: ["127.0.0.2:9", "127.0.0.3:9", server.connectionString, "127.0.0.4:9"])
            try await session.connect()
            #expect(await session.send(.sync(path: "/")).code == 0)
            await session.connection.close(.endSession)
        }
    }
}
