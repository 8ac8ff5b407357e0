import Testing
import ZooKeeperTransport

@testable import ZooKeeperBridge

@Suite(.timeLimit(.minutes(5)))
struct SessionEventTests {
    @Test func `a granted session comes with its id, password and timeout`() async throws {
        let server = try #require(
            FakeServer {
                $0.grantSession(id: 77, timeout: 4_321)
                $0.swallowRequests()
            })
        let session = BridgeSession(to: [server.name])
        let granted = try await session.connect()
        #expect(granted == TransportSession(id: 77, password: Array(1...16), timeout: 4_321))
        await session.connection.close(.endSession)
        server.stop()
    }

    @Test func `rule 18: the loss of the connection comes before the requests that fail with it`() async throws {
        let server = try #require(
            FakeServer { connection in
                connection.grantSession()
                for _ in 0..<50 { _ = connection.receivePacket() }
            })
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        for number in 0..<50 { session.post(number, .getData(path: "/", watch: false)) }
        _ = await session.journal.first { if case .reply(49, _) = $0 { true } else { false } }
        let entries = session.journal.entries
        let loss = entries.firstIndex { if case .event(.disconnected) = $0 { true } else { false } }
        let reply = entries.firstIndex { if case .reply = $0 { true } else { false } }
        #expect(try #require(loss) < (try #require(reply)))
        #expect(session.replies.map(\.number) == Array(0..<50))
        #expect(session.replies.allSatisfy { $0.reply.code == ReplyCode.connectionLoss })
        await session.connection.close(.keepSession)
        server.stop()
    }

    @Test func `rule 5: nothing stays unanswered when the session has expired`() async throws {
        let server = try #require(
            FakeServer { connection in
                // As a server answers for a session that it does not know.
                connection.grantSession(id: 0, timeout: 0)
                connection.drain()
            })
        for _ in 0..<50 {
            let lost = TransportSession(id: 99, password: Array(1...16), timeout: 4_000)
            let session = BridgeSession(to: [server.name], session: lost)
            session.connection.open()
            for number in 0..<500 { session.post(number, .sync(path: "/")) }
            let event = await session.event { _ in true }
            guard case .expired = event else {
                Issue.record("\(event)")
                continue
            }
            for number in 500..<520 { session.post(number, .sync(path: "/")) }
            #expect(await session.send(.multi([.check(path: "/a", version: 0)])).code != 0)
            await session.connection.close(.keepSession)
            #expect(session.replies.count == 520)
            #expect(Set(session.replies.map(\.reply.code)).isSubset(of: [-9, -112, -4]))
            #expect(session.journal.entries.count == 521)
        }
        server.stop()
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\nServer: something else\r\n\r\n",
        "220 mail.example.org ESMTP Postfix (Debian/GNU) ready at your service, how may I help\r\n",
        String(repeating: "\0", count: 100), String(repeating: "\u{7f}", count: 4_000),
    ])
    func `a stranger that answers is found out, and nothing crashes`(text: String) async throws {
        let server = try #require(
            FakeServer { connection in
                connection.send(Array(text.utf8))
                connection.drain()
            })
        let session = BridgeSession(to: [server.name], timeout: 2_000)
        session.connection.open()
        let event = await session.event { _ in true }
        guard case .openFailed = event else {
            Issue.record("\(event)")
            return
        }
        #expect(await session.send(.sync(path: "/")).code == ReplyCode.connectionLoss)
        await session.connection.close(.keepSession)
        #expect(session.journal.entries.count == 1)
        server.stop()
    }

    @Test(arguments: ["", "no", "a short answer\r\n"])
    func `a stranger that hangs up is tried again`(text: String) async throws {
        let server = try #require(FakeServer { $0.send(Array(text.utf8)) })
        let session = BridgeSession(to: [server.name], timeout: 1_000)
        session.connection.open()
        await server.accepted(3)
        #expect(session.journal.entries.isEmpty)
        await session.connection.close(.endSession)
        server.stop()
    }

    @Test func `a server that never answers is given up and tried again`() async throws {
        let server = try #require(FakeServer { $0.drain() })
        let session = BridgeSession(to: [server.name], timeout: 300)
        session.connection.open()
        await server.accepted(3)
        #expect(session.journal.entries.isEmpty)
        await session.connection.close(.endSession)
        server.stop()
    }

    @Test func `rule 3: a garbled answer ends the connection, not the process`() async throws {
        let server = try #require(
            FakeServer { connection in
                connection.grantSession()
                guard let packet = connection.receiveRequest() else { return }
                // An answer to a request that was never made, while another request waits: with none the C client aborts.
                connection.answer([0x7f, 0x7f, 0x7f, 0x7f] + packet[4...], code: 0)
                connection.drain()
            })
        let session = BridgeSession(to: [server.name], timeout: 1_000)
        try await session.connect()
        let reply = await session.send(.getData(path: "/", watch: false))
        #expect(reply.code.rawValue < 0)
        await session.connection.close(.keepSession)
        server.stop()
    }
}
