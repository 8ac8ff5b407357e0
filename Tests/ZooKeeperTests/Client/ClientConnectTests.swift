import Logging
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// A client whose servers do not answer.
@Suite(.timeLimit(.minutes(5)))
struct ClientConnectTests {
    /// A name service that does not answer.
    private struct SilentResolver: NameResolver {
        func resolve(_ host: String) async throws -> [String] {
            try await OneShot<[String]>().wait()
        }
    }

    @Test func `a wait for a connection ends at its limit and names the servers`() async throws {
        try await ScriptedClient.run { scripted in
            let clock = scripted.clock
            let waiting = Task { try await scripted.client.waitUntilConnected(timeout: .seconds(2)) }
            await clock.waitForSleeper(until: clock.now + .seconds(2))
            clock.advance(by: .seconds(2))
            let error = await #expect(throws: ZooKeeperError.self) { try await waiting.value }
            #expect(error?.code == .operationTimeout)
            #expect(error?.message?.contains("127.0.0.1:2181 within 2") == true)
            // The client goes on, and the next wait succeeds.
            let connection = try await scripted.transport.connection(1)
            connection.connect(session: 7)
            #expect(try await scripted.client.waitUntilConnected(timeout: .seconds(2)).id.rawValue == 7)
        }
    }

    @Test(arguments: [false, true])
    func `without a first connection in time the client ends, and so does all that waits`(isNameServiceSilent: Bool)
        async throws
    {
        let log = RecordedLog()
        let scripted = try ScriptedClient(
            resolver: isNameServiceSilent ? SilentResolver() : LiteralResolver(), log: log
        ) { $0.initialConnectionTimeout = .seconds(6) }
        let running = Task { try await scripted.client.run() }
        let reading = Task { try await scripted.client.exists(at: "/a") }
        let begin = scripted.clock.now
        await scripted.clock.waitForSleeper(until: begin + .seconds(5))
        await scripted.waitForOutbox(1)
        scripted.clock.advance(by: .seconds(5))
        #expect(await log.line { $0.text.contains("No connection") }.level == .warning)
        await scripted.clock.waitForSleeper(until: begin + .seconds(6))
        scripted.clock.advance(by: .seconds(1))
        for task in [Task { try await running.value }, Task { _ = try await reading.value }] {
            let error = await #expect(throws: ZooKeeperError.self) { try await task.value }
            #expect(error?.code == .operationTimeout)
            #expect(error?.message?.contains("127.0.0.1:2181 within 6") == true)
        }
        #expect(scripted.client.state == .closed(nil))
    }
}
