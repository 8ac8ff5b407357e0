import Testing
import ZooKeeperTransport

@testable import ZooKeeperBridge

/// Requests that are answered without a server.
@Suite struct RefusalTests {
    /// The answer, if it came before `submit` returned.
    private func answerAtOnce(_ session: BridgeSession, _ request: TransportRequest) -> ReplyCode? {
        let answers = Journal<ReplyCode>()
        session.connection.submit(request) { answers.append($0.code) }
        return answers.entries.first
    }

    private let requests: [TransportRequest] = [
        .create("/a"), .delete(path: "/a", version: -1), .exists(path: "/a", watch: true),
        .getData(path: "/a", watch: false), .setData(path: "/a", data: nil, version: -1),
        .getChildren(path: "/a", watch: false), .getACL(path: "/a"), .setACL(path: "/a", acl: openACL, version: -1),
        .sync(path: "/a"), .multi([.check(path: "/a", version: -1)]), .removeWatches(path: "/a", kind: .data),
        .addAuth(TransportCredential(scheme: "digest", credential: [1])),
    ]

    @Test func `rule 6: a request before the open and after the close is refused on the calling thread`() async throws {
        let server = try #require(
            FakeServer {
                $0.grantSession()
                $0.swallowRequests()
            })
        let session = BridgeSession(to: [server.name])
        for request in requests {
            #expect(answerAtOnce(session, request) == ReplyCode.connectionLoss)
        }
        try await session.connect()
        await session.connection.close(.endSession)
        for request in requests {
            #expect(answerAtOnce(session, request) == ReplyCode.closing)
        }
        server.stop()
    }

    @Test func `rule 12: a transaction that would crash the library is refused, and nothing is sent`() async throws {
        let sent = Journal<Int32>()
        let server = try #require(
            FakeServer { connection in
                connection.grantSession()
                connection.swallowRequests { type in sent.append(type) }
            })
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        let good = TransportOperation.create(path: "/good", data: nil, mode: .persistent, acl: openACL)
        for path in ["", "a", "/a/", "//", "/a//b", "/a/.", "/./a", "/..", "/a/../b", "/a\0b", "/a\u{1}"] {
            let bad: [TransportOperation] = [
                .create(path: path, data: nil, mode: .ephemeral, acl: openACL), .delete(path: path, version: -1),
                .setData(path: path, data: nil, version: -1), .check(path: path, version: -1),
            ]
            for operation in bad {
                #expect(answerAtOnce(session, .multi([good, operation, good])) == ReplyCode.badArguments)
            }
        }
        for mode: TransportCreateMode in [.container, .persistentWithTTL(1), .persistentSequentialWithTTL(1)] {
            let create = TransportOperation.create(path: "/c", data: nil, mode: mode, acl: openACL)
            #expect(answerAtOnce(session, .multi([good, create])) == ReplyCode.badArguments)
        }
        #expect(answerAtOnce(session, .multi([])) == ReplyCode.badArguments)
        await session.connection.close(.endSession)
        // On a slow machine the library has the time to send pings.
        #expect(sent.entries.filter { $0 != 11 } == [-11])
        server.stop()
    }

    @Test func `rule 12: a transaction waits for the answer to a credential, and not for a connection`() async throws {
        let server = try #require(
            FakeServer { connection in
                connection.grantSession()
                connection.swallowRequests()
            })
        let multi = TransportRequest.multi([.check(path: "/a", version: -1), .check(path: "/b", version: -1)])
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        session.post(1, .addAuth(TransportCredential(scheme: "digest", credential: [1])))
        session.post(2, multi)
        // What follows it waits as well, so that the order stays.
        session.post(3, .exists(path: "/a", watch: false))
        #expect(session.replies.isEmpty)
        server.stop()
        _ = await session.event { if case .disconnected = $0 { true } else { false } }
        let answer = await session.send(multi)
        #expect(answer.code == .connectionLoss)
        await session.connection.close(.endSession)
        #expect(session.replies.map(\.number) == [1, 2, 3])
        // The library reports the loss before it forgets the connection, and keeps what it is given in between until it
        // connects again or is closed.
        #expect([.connectionLoss, .closing].contains(session.replies[1].reply.code))
    }

    @Test func `a path with a zero byte is refused, not cut`() async throws {
        let server = try #require(
            FakeServer {
                $0.grantSession()
                $0.swallowRequests()
            })
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        #expect(answerAtOnce(session, .delete(path: "/a\0b", version: -1)) == ReplyCode.badArguments)
        #expect(answerAtOnce(session, .create("relative")) == ReplyCode.badArguments)
        #expect(answerAtOnce(session, .create("/t", mode: .persistentWithTTL(0))) == ReplyCode.badArguments)
        await session.connection.close(.endSession)
        server.stop()
    }

    @Test func `rule 14: a request over the limit is refused, and those in flight stay`() async throws {
        let server = try #require(
            FakeServer {
                $0.grantSession()
                $0.swallowRequests()
            })
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        for number in 0..<CConnection.requestsInFlightLimit {
            session.post(number, .sync(path: "/"))
        }
        #expect(answerAtOnce(session, .sync(path: "/")) == ReplyCode.marshallingError)
        let early = session.replies.count
        #expect(early == 0)
        await session.connection.close(.endSession)
        #expect(session.replies.count == CConnection.requestsInFlightLimit)
        #expect(Set(session.replies.map(\.reply.code)) == [ReplyCode.closing])
        server.stop()
    }

    @Test func `a request to a port that refuses is answered when the attempt fails`() async throws {
        let port = try #require(closedPort())
        let session = BridgeSession(to: [port], timeout: 1_000)
        session.connection.open()
        var codes: Set<ReplyCode> = []
        for _ in 0..<20 { codes.insert(await session.send(.sync(path: "/")).code) }
        #expect(codes == [ReplyCode.connectionLoss])
        #expect(session.journal.entries.isEmpty)
        await session.connection.close(.endSession)
    }
}
