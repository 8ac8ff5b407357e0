import Logging
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct JanitorTests {
    private let noAuth: ReplyCode = .noAuth

    /// A client that runs, and a clean-up of one znode in its session.
    private func withCleanUp(
        _ body: (ScriptedClient, ScriptedConnection, SessionHandle, RecordedLog) async throws -> Void
    ) async throws {
        let log = RecordedLog()
        let scripted = try ScriptedClient(log: log)
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        try await body(scripted, connection, try await scripted.client.connectedSession(), log)
        scripted.client.stopImmediately()
        try await running.value
    }

    /// The next try to delete; time passes until it comes.
    private func nextDelete(
        _ scripted: ScriptedClient, _ connection: ScriptedConnection
    ) async -> ScriptedConnection.Submission {
        while true {
            if let deletion = connection.taken(where: isDelete) { return deletion }
            scripted.clock.advance(by: .milliseconds(10))
            await Task.yield()
        }
    }

    private func isDelete(_ request: TransportRequest) -> Bool {
        if case .delete = request { true } else { false }
    }

    @Test func `a deletion that the server refuses is reported once, and tried again`() async throws {
        try await withCleanUp { scripted, connection, session, log in
            let done = session.cleanUp(.node(path: "/locks/own"))
            await connection.next(where: isDelete).answer(noAuth)
            let line = await log.line { $0.text.contains("Cannot delete an own znode") }
            #expect(line.level == .warning)
            #expect(line.text.contains("/locks/own") && line.text.contains("noAuth"))
            await nextDelete(scripted, connection).answer(noAuth)
            await nextDelete(scripted, connection).answer(0)
            try await done.wait()
            #expect(log.lines { $0.text.contains("Cannot delete an own znode") }.count == 1)
        }
    }

    @Test func `a znode that does not exist any more is deleted`() async throws {
        try await withCleanUp { _, connection, session, log in
            let done = session.cleanUp(.node(path: "/locks/own"))
            await connection.next(where: isDelete).answer(-101)
            try await done.wait()
            #expect(log.lines { $0.level >= .warning }.isEmpty)
        }
    }

    @Test func `a lost connection is no reason for a warning`() async throws {
        try await withCleanUp { scripted, connection, session, log in
            let done = session.cleanUp(.node(path: "/locks/own"))
            _ = await connection.next(where: isDelete)
            connection.lose()
            connection.connect()
            await nextDelete(scripted, connection).answer(0)
            try await done.wait()
            #expect(log.lines { $0.text.contains("Cannot delete") }.isEmpty)
        }
    }

    @Test func `a client that closes goes on deleting`() async throws {
        try await withCleanUp { scripted, connection, session, _ in
            let held = session.hold("/own", czxid: ZXID(rawValue: 5))
            scripted.client.triggerGracefulShutdown()
            let done = session.cleanUp(.prefix("own", parent: "/"))
            await connection.next(where: \.isMulti).answer(0, .multi([]))
            let listing = await connection.next { if case .getChildren = $0 { true } else { false } }
            listing.answer(0, .children(["own1", "other"], .test()))
            await connection.next(where: isDelete).answer(0)
            try await done.wait()
            held.release()
        }
    }
}
