import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// Each test moves the clock by the session timeout at most, so that a client that waits longer never ends.
@Suite(.timeLimit(.minutes(5)))
struct ClientShutdownTests {
    private let sessionTimeout = Duration.seconds(10)

    private func failure(of writing: Task<ZNodeStat, any Error>) async throws -> ZooKeeperError {
        do {
            _ = try await writing.value
        } catch let error as ZooKeeperError {
            return error
        }
        throw ZooKeeperError(.server, message: "it was answered")
    }

    private func write(_ path: String, by scripted: ScriptedClient) -> Task<ZNodeStat, any Error> {
        Task { try await scripted.client.setData([1], at: path) }
    }

    /// A write that has been sent and one that waits behind it, of a client with one request in flight.
    private struct Queued {
        let scripted: ScriptedClient
        let connection: ScriptedConnection
        let running: Task<Void, any Error>
        let sent: Task<ZNodeStat, any Error>
        let onWire: ScriptedConnection.Submission
        let waiting: Task<ZNodeStat, any Error>
    }

    private func queued() async throws -> Queued {
        let scripted = try ScriptedClient { $0.maximumRequestsInFlight = 1 }
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        let sent = write("/a", by: scripted)
        let onWire = await connection.next(where: \.isSetData)
        let waiting = write("/b", by: scripted)
        await scripted.waitForOutbox(1)
        return Queued(
            scripted: scripted, connection: connection, running: running, sent: sent, onWire: onWire, waiting: waiting)
    }

    // MARK: Without a connection

    @Test func `a connection that is lost while draining ends the client within the session timeout`() async throws {
        let queued = try await queued()
        queued.scripted.client.triggerGracefulShutdown()
        queued.connection.say(.disconnected)
        await queued.scripted.clock.waitForSleeper(until: queued.scripted.clock.now + sessionTimeout)
        queued.scripted.clock.advance(by: sessionTimeout)
        try await queued.running.value
        #expect(try await failure(of: queued.sent).isOutcomeUnknown)
        #expect(try await failure(of: queued.waiting) == ZooKeeperError(.clientStopped))
    }

    @Test func `a server that falls silent while draining ends the client within the session timeout`() async throws {
        let queued = try await queued()
        queued.scripted.client.triggerGracefulShutdown()
        let end = queued.scripted.clock.now + sessionTimeout
        // A heartbeat falls due, and is not answered either.
        queued.scripted.clock.advance(by: .seconds(3))
        await queued.scripted.clock.waitForSleeper(until: end)
        queued.scripted.clock.advance(by: sessionTimeout - .seconds(3))
        try await queued.running.value
        #expect(queued.connection.closed.value == .endSession)
        #expect(try await failure(of: queued.sent).isOutcomeUnknown)
        #expect(try await failure(of: queued.waiting) == ZooKeeperError(.clientStopped))
    }

    @Test func `a client whose connection was lost before does not drain`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        try await scripted.connected().lose()
        let writing = write("/a", by: scripted)
        await scripted.waitForOutbox(1)
        scripted.client.triggerGracefulShutdown()
        try await running.value
        #expect(try await failure(of: writing) == ZooKeeperError(.clientStopped))
    }

    @Test func `a client that never got a connection does not drain`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        _ = try await scripted.transport.connection(1)
        let writing = write("/a", by: scripted)
        await scripted.waitForOutbox(1)
        scripted.client.triggerGracefulShutdown()
        try await running.value
        #expect(try await failure(of: writing) == ZooKeeperError(.clientStopped))
    }

    @Test func `a client ends while its servers' names are being resolved for ever`() async throws {
        let resolver = SilentResolver()
        let scripted = try ScriptedClient(resolver: resolver)
        let running = Task { try await scripted.client.run() }
        _ = try await resolver.isAsked.wait()
        scripted.client.triggerGracefulShutdown()
        try await running.value
        #expect(scripted.client.state.isClosed)
    }

    @Test func `requests that wait are sent when the connection comes back while draining`() async throws {
        let queued = try await queued()
        queued.scripted.client.triggerGracefulShutdown()
        queued.connection.lose()
        #expect(try await failure(of: queued.sent).code == .connectionLoss)
        queued.connection.connect()
        await queued.connection.next(where: \.isSetData).answer(0, .stat(.test()))
        _ = try await queued.waiting.value
        // The heartbeat of the new connection counts as under way.
        if let beat = queued.connection.taken(where: \.isHeartbeat) { beat.answer(0, .stat(.test())) }
        try await queued.running.value
        #expect(queued.connection.closed.value == .endSession)
    }

    // MARK: What drains without an answer

    @Test func `a waiting request that is given up while draining holds nothing up`() async throws {
        let queued = try await queued()
        queued.scripted.client.triggerGracefulShutdown()
        queued.waiting.cancel()
        await #expect(throws: CancellationError.self) { try await queued.waiting.value }
        queued.onWire.answer(0, .stat(.test()))
        _ = try await queued.sent.value
        try await queued.running.value
    }

    @Test func `a session that expires while draining takes what waits for it along`() async throws {
        let scripted = try ScriptedClient { $0.maximumRequestsInFlight = 1 }
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        let session = try await scripted.client.connectedSession()
        let refused = OneShot<SessionResult>()
        let writing = write("/a", by: scripted)
        _ = await connection.next(where: \.isSetData)
        session.post(.delete(path: "/own")) { refused.set($0) }
        scripted.client.triggerGracefulShutdown()
        connection.lose()
        connection.say(.expired)
        try await running.value
        #expect(try await failure(of: writing).code == .connectionLoss)
        #expect(throws: ZooKeeperError(.sessionExpired)) { try refused.value?.get() }
    }

    // MARK: Twice, early, cancelled

    @Test func `a client that was stopped before it was run ends at once when it is`() async throws {
        let scripted = try ScriptedClient()
        let writing = write("/a", by: scripted)
        await scripted.waitForOutbox(1)
        scripted.client.triggerGracefulShutdown()
        #expect(try await failure(of: writing) == ZooKeeperError(.clientStopped))
        try await scripted.client.run()
        #expect(scripted.client.state.isClosed)
        #expect(scripted.transport.isUnused)
    }

    @Test func `a second shutdown does not cut the first one's draining short`() async throws {
        let queued = try await queued()
        queued.scripted.client.triggerGracefulShutdown()
        queued.scripted.client.triggerGracefulShutdown()
        queued.onWire.answer(0, .stat(.test()))
        _ = try await queued.sent.value
        await queued.connection.next(where: \.isSetData).answer(0, .stat(.test()))
        _ = try await queued.waiting.value
        try await queued.running.value
        queued.scripted.client.triggerGracefulShutdown()
        #expect(queued.scripted.client.state.isClosed)
    }

    @Test func `a client runs once, also while it drains`() async throws {
        let queued = try await queued()
        func isRefused() async -> Bool {
            do { try await queued.scripted.client.run() } catch let error as ZooKeeperError {
                return error.code == .invalidArgument
            } catch {}
            return false
        }
        #expect(await isRefused())
        queued.scripted.client.triggerGracefulShutdown()
        #expect(await isRefused())
        queued.running.cancel()
        try await queued.running.value
        #expect(await isRefused())
    }

    @Test func `cancellation ends the draining at once`() async throws {
        let queued = try await queued()
        queued.scripted.client.triggerGracefulShutdown()
        queued.running.cancel()
        try await queued.running.value
        #expect(queued.connection.closed.value == .endSession)
        #expect(try await failure(of: queued.sent).isOutcomeUnknown)
        #expect(try await failure(of: queued.waiting) == ZooKeeperError(.clientStopped))
    }

    @Test func `a session that begins while the client stops has its end told`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        let late = OneShot<SessionHandle?>()
        try await scripted.held("/own", on: connection).onLoss { _ in
            connection.connect(session: 2)
            late.set(scripted.client.core.state.withLock { $0.live })
        }
        scripted.client.triggerGracefulShutdown()
        try await running.value
        let session = try #require(try await late.wait())
        #expect(session.epoch == 2)
        #expect(session.endReason == .clientStopped)
    }

    @Test func `no session begins while the connection is being closed`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.transport.connection(1)
        connection.beforeClose { connection.connect() }
        let states = scripted.client.states
        scripted.client.triggerGracefulShutdown()
        try await running.value
        #expect(await states.contains { $0.isConnected } == false)
    }

    // MARK: Scoped use

    @Test func `a body that throws while the server is away ends its client`() async throws {
        struct Mishap: Error {}
        let (never, lost) = (try ScriptedClient(), try ScriptedClient())
        await #expect(throws: Mishap.self) {
            try await never.client.running { _ in
                _ = try await never.transport.connection(1)
                throw Mishap()
            }
        }
        await #expect(throws: Mishap.self) {
            try await lost.client.running { _ in
                try await lost.connected().lose()
                throw Mishap()
            }
        }
        #expect(never.client.state.isClosed && lost.client.state.isClosed)
    }
}

/// Names that are never resolved.
private final class SilentResolver: NameResolver {
    let isAsked = OneShot<Void>()

    func resolve(_ host: String) async throws -> [String] {
        isAsked.set(())
        return try await OneShot<[String]>().wait()
    }
}
