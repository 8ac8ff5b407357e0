import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// How long a grant is valid while its znode is not watched: what is proved meanwhile says nothing of the znode.
@Suite(.timeLimit(.minutes(5)))
struct HeldNodeTests {
    @Test func `what is not watched so far is valid for as long as was sure when it was taken`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            _ = try await scripted.held("/own", on: connection)
            let session = try await scripted.client.connectedSession()
            let unwatched = session.hold("/late", czxid: ZXID(rawValue: 9), watchingAfter: .seconds(60))
            let known = session.validUntil
            #expect(unwatched.validUntil == known)
            for _ in 0..<2 {
                scripted.clock.advance(by: .seconds(3))
                await connection.answerBeat()
            }
            #expect(session.validUntil > known)
            #expect(unwatched.validUntil == known)
            // Watched, it is valid as its session is.
            unwatched.watch()
            await connection.next { $0.isRead(of: "/late") }.answer(0, .data([], .test(czxid: 9)))
            #expect(unwatched.validUntil == session.validUntil)
        }
    }

    @Test func `a task that runs late takes what was sure when the znode was seen`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            _ = try await scripted.held("/own", on: connection)
            let session = try await scripted.client.connectedSession()
            let batch = RequestBatch()
            #expect(batch.sureUntil == .distantPast)
            async let results = session.sendAll([.exists(path: "/late"), .exists(path: "/other")], batch: batch)
            await connection.next(where: \.isExists).answer(0, .stat(.test(czxid: 9)))
            let known = session.validUntil
            for _ in 0..<2 {
                scripted.clock.advance(by: .seconds(3))
                await connection.answerBeat()
            }
            await connection.next(where: \.isExists).answer(0, .stat(.test()))
            _ = try await results
            #expect(session.validUntil > known)
            let held = session.hold("/late", czxid: ZXID(rawValue: 9), seenBy: batch, watchingAfter: .seconds(60))
            #expect(held.validUntil == known)
        }
    }

    /// A new connection, to a server that may be behind.
    private func replacedConnection(_ scripted: ScriptedClient) async throws -> ScriptedConnection {
        try scripted.client.updateServers([ServerAddress(host: "127.0.0.2", port: 2181)])
        let connection = try await scripted.transport.connection(2)
        connection.connect()
        return connection
    }

    @Test(arguments: [nil, 4] as [Int64?])
    func `a server that does not know the znode yet does not end what is held by it`(older: Int64?) async throws {
        try await ScriptedClient.run { scripted in
            let first = try await scripted.connected()
            let held = try await scripted.held("/own", on: first)
            let second = try await replacedConnection(scripted)
            let look = await second.next { $0.isRead(of: "/own") }
            if let older { look.answer(0, .data([], .test(czxid: older))) } else { look.answer(-101) }
            #expect(held.lossReason == nil)
            // The barrier, then the look that counts; a heartbeat may come before.
            let sure = await second.next { $0.isRead(of: "/own") }
            while let barrier = second.taken(where: \.isMulti) {
                barrier.answer(0, .multi([TransportOperationResult(code: 0)]))
            }
            sure.answer(0, .data([], .test(czxid: 5)))
            #expect(held.lossReason == nil)
            second.say(.watch(TransportWatchEvent(kind: .deleted, path: "/own")))
            #expect(held.lossReason == .znodeDeleted)
        }
    }

    @Test func `a znode that is gone behind a barrier, or replaced by a newer one, is lost`() async throws {
        try await ScriptedClient.run { scripted in
            let first = try await scripted.connected()
            let gone = try await scripted.held("/gone", on: first)
            let replaced = try await scripted.client.connectedSession().hold("/replaced", czxid: ZXID(rawValue: 5))
            await first.next { $0.isRead(of: "/replaced") }.answer(0, .data([], .test()))
            let second = try await replacedConnection(scripted)
            await second.next { $0.isRead(of: "/replaced") }.answer(0, .data([], .test(czxid: 6)))
            #expect(replaced.lossReason == .znodeDeleted)
            await second.next { $0.isRead(of: "/gone") }.answer(-101)
            #expect(gone.lossReason == nil)
            let sure = await second.next { $0.isRead(of: "/gone") }
            while let barrier = second.taken(where: \.isMulti) {
                barrier.answer(-101, .multi([TransportOperationResult(code: -101)]))
            }
            sure.answer(-101)
            #expect(gone.lossReason == .znodeDeleted)
        }
    }
}

extension TransportRequest {
    fileprivate var isExists: Bool { if case .exists(let path, _) = self { path != "/" } else { false } }
}
