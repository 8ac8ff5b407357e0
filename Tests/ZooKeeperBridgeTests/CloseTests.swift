import Dispatch
import Testing
import ZooKeeperTransport

@testable import ZooKeeperBridge

@Suite(.timeLimit(.minutes(5)))
struct CloseTests {
    private func silentServer() throws -> FakeServer {
        try #require(
            FakeServer {
                $0.grantSession()
                $0.swallowRequests()
            })
    }

    @Test(arguments: [TransportClose.endSession, .keepSession])
    func `rule 4: 1,000 requests in flight all complete when closed, 100 times`(end: TransportClose) async throws {
        let server = try silentServer()
        for _ in 0..<100 {
            let session = BridgeSession(to: [server.name])
            try await session.connect()
            for number in 0..<1_000 { session.post(number, .getData(path: "/\(number)", watch: true)) }
            await session.connection.close(end)
            let replies = session.replies
            #expect(replies.count == 1_000)
            #expect(Set(replies.map(\.number)).count == 1_000)
            #expect(replies.allSatisfy { $0.reply.code == ReplyCode.closing })
        }
        server.stop()
    }

    @Test func `rule 6: submitting from four threads while it is closed answers every request`() async throws {
        let server = try silentServer()
        for round in 0..<50 {
            let session = BridgeSession(to: [server.name])
            try await session.connect()
            await withTaskGroup { group in
                for thread in 0..<4 {
                    group.addTask {
                        for number in 0..<500 { session.post(thread * 500 + number, .sync(path: "/")) }
                    }
                }
                group.addTask { await session.connection.close(round.isMultiple(of: 2) ? .endSession : .keepSession) }
            }
            let replies = session.replies
            #expect(replies.count == 2_000)
            #expect(Set(replies.map(\.number)).count == 2_000)
            #expect(replies.allSatisfy { [ReplyCode.closing, ReplyCode.connectionLoss].contains($0.reply.code) })
        }
        server.stop()
    }

    @Test func `rule 7: slow closes leave the cooperative pool alone`() async throws {
        let server = try silentServer()
        let sessions = (0..<16).map { _ in BridgeSession(to: [server.name]) }
        // A completion that does not return holds up the close of its connection.
        let mayReturn = DispatchSemaphore(value: 0)
        for session in sessions {
            try await session.connect()
            session.connection.submit(.getData(path: "/", watch: false)) { _ in mayReturn.wait() }
        }
        let closed = Journal<Bool>()
        let closing = sessions.map { session in
            Task {
                await session.connection.close(.endSession)
                closed.append(true)
            }
        }
        // On a pool that is blocked none of these would run before the closes have ended.
        for _ in 0..<100 { await Task { await Task.yield() }.value }
        #expect(closed.entries.isEmpty)
        for _ in sessions { mayReturn.signal() }
        for task in closing { await task.value }
        server.stop()
    }

    @Test func `closing twice, and at the same time, returns after the first close has ended`() async throws {
        let server = try silentServer()
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        for number in 0..<100 { session.post(number, .sync(path: "/")) }
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    await session.connection.close(.keepSession)
                    #expect(session.replies.count == 100)
                }
            }
        }
        await session.connection.close(.endSession)
        server.stop()
    }

    @Test func `a connection that was never opened closes, and does not open any more`() async throws {
        let server = try silentServer()
        let session = BridgeSession(to: [server.name])
        await session.connection.close(.endSession)
        session.connection.open()
        await session.connection.close(.endSession)
        #expect(server.acceptedCount == 0)
        #expect(session.journal.entries.isEmpty)
        server.stop()
    }

    @Test func `closing at once after opening works at every moment`() async throws {
        let server = try silentServer()
        for round in 0..<200 {
            let session = BridgeSession(to: [server.name])
            session.connection.open()
            for _ in 0..<round { await Task.yield() }
            for number in 0..<10 { session.post(number, .sync(path: "/")) }
            await session.connection.close(round.isMultiple(of: 2) ? .endSession : .keepSession)
            let count = session.journal.entries.count
            #expect(session.replies.count == 10)
            await Task.yield()
            #expect(session.journal.entries.count == count)
        }
        server.stop()
    }

    @Test func `rule 20: a session that is kept sends no farewell`() async throws {
        let types = Journal<Int32>()
        let server = try #require(
            FakeServer { connection in
                connection.grantSession()
                connection.swallowRequests { type in types.append(type) }
            })
        for _ in 0..<100 {
            let session = BridgeSession(to: [server.name])
            try await session.connect()
            session.post(0, .sync(path: "/"))
            await session.connection.close(.keepSession)
        }
        #expect(!types.entries.contains(-11))
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        await session.connection.close(.endSession)
        #expect(types.entries.last == -11)
        server.stop()
    }

    @Test func `rule 19: the library writes errors alone, also after a session was kept`() async throws {
        let server = try silentServer()
        let session = BridgeSession(to: [server.name])
        try await session.connect()
        await session.connection.close(.keepSession)
        // Another test may be closing at this moment.
        while CLibrary.isKeepingSessions { await Task.yield() }
        #expect(CLibrary.logLevel <= 3)
        server.stop()
    }

    @Test func `a closed connection is freed, with everything its owner gave it`() async throws {
        let server = try silentServer()
        var leftovers: [WeakReference] = []
        for round in 0..<100 {
            let session = BridgeSession(to: [server.name])
            leftovers.append(WeakReference(session.connection))
            leftovers.append(WeakReference(session.journal))
            try await session.connect()
            session.post(0, .sync(path: "/"))
            session.post(1, .addAuth(TransportCredential(scheme: "digest", credential: [1])))
            await session.connection.close(round.isMultiple(of: 2) ? .endSession : .keepSession)
        }
        // The connection's queue lets go of it just after the close has returned.
        while leftovers.contains(where: { $0.object != nil }) { await Task.yield() }
        server.stop()
    }
}

private struct WeakReference: Sendable {
    weak let object: (any AnyObject & Sendable)?

    init(_ object: any AnyObject & Sendable) {
        self.object = object
    }
}
