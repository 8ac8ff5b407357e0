import ServiceLifecycleTestKit
import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// A client that stops keeps its session until everybody who holds something in it has let go.
@Suite(.timeLimit(.minutes(5)))
struct ClientCloseTests {
    /// A client that runs and holds one znode.
    private struct Scene {
        let scripted: ScriptedClient
        let running: Task<Void, any Error>
        let connection: ScriptedConnection
        let held: HeldNode

        var client: ZooKeeperClient { scripted.client }

        init() async throws {
            let scripted = try ScriptedClient()
            running = Task { try await scripted.client.run() }
            connection = try await scripted.connected()
            held = try await scripted.held("/own", on: connection)
            self.scripted = scripted
        }
    }

    enum Stop: CaseIterable { case gracefulShutdown, cancellation }

    // MARK: Holders

    @Test(arguments: Stop.allCases)
    func `the session is kept alive until the holder has let go`(stop: Stop) async throws {
        let scene = try await Scene()
        switch stop {
        case .gracefulShutdown: scene.client.triggerGracefulShutdown()
        case .cancellation: scene.running.cancel()
        }
        #expect(try await scene.held.waitForLoss() == .clientStopped)
        #expect(!scene.held.isValid)
        // Longer than the session timeout, which a session without heartbeats does not survive.
        for _ in 0..<5 {
            scene.scripted.clock.advance(by: .seconds(3))
            await scene.connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
        }
        #expect(scene.connection.closed.value == nil)
        scene.held.release()
        try await scene.running.value
        #expect(scene.connection.closed.value == .endSession)
        #expect(scene.client.state.isClosed)
    }

    @Test func `a second, harder stop does not take the session from the holder`() async throws {
        let scene = try await Scene()
        scene.client.triggerGracefulShutdown()
        scene.running.cancel()
        scene.scripted.clock.advance(by: .seconds(3))
        await scene.connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
        #expect(scene.connection.closed.value == nil)
        scene.held.release()
        try await scene.running.value
    }

    @Test func `an immediate stop waits for nobody`() async throws {
        let scene = try await Scene()
        scene.client.stopImmediately()
        try await scene.running.value
        #expect(scene.connection.closed.value == .endSession)
        #expect(scene.held.lossReason == .clientStopped)
    }

    @Test func `the last holder of several closes the session`() async throws {
        let scene = try await Scene()
        let other = scene.held.session.hold("/other", czxid: ZXID(rawValue: 5))
        await scene.connection.next { $0.isRead(of: "/other") }.answer(0, .data([], .test()))
        scene.running.cancel()
        #expect(try await other.waitForLoss() == .clientStopped)
        scene.held.release()
        scene.scripted.clock.advance(by: .seconds(3))
        await scene.connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
        #expect(scene.connection.closed.value == nil)
        other.release()
        try await scene.running.value
    }

    @Test func `a holder whose znode was deleted needs no session`() async throws {
        let scene = try await Scene()
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        scene.held.lose(.znodeDeleted)
        try await scene.running.value
    }

    @Test func `a lock held by handle is waited for until the timeout for handles`() async throws {
        let scene = try await Scene()
        scene.held.isHandle = true
        let end = scene.scripted.clock.now + scene.client.configuration.handleReleaseTimeout
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        while scene.scripted.clock.now + .seconds(3) < end {
            scene.scripted.clock.advance(by: .seconds(3))
            await scene.connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
        }
        #expect(scene.connection.closed.value == nil)
        scene.scripted.clock.advance(by: .seconds(3))
        try await scene.running.value
    }

    @Test func `without a connection a holder is waited for as long as the server may keep the session`() async throws {
        let scene = try await Scene()
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        scene.connection.lose()
        let end = scene.scripted.clock.now + .seconds(10)
        await scene.scripted.clock.waitForSleeper(until: end)
        #expect(!scene.client.state.isClosed)
        scene.scripted.clock.advance(by: .seconds(10))
        try await scene.running.value
        #expect(scene.held.lossReason == .clientStopped)
    }

    @Test func `attempts to reconnect do not prolong the wait`() async throws {
        let scene = try await Scene()
        let clock = scene.scripted.clock
        let end = clock.now + .seconds(10)
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        scene.connection.lose()
        clock.advance(by: .seconds(7))
        // After a pause, another connection is opened. No server answers.
        let hasOpened = OneShot<Void>()
        let opening = Task {
            _ = try await scene.scripted.transport.connection(2)
            hasOpened.set(())
        }
        while hasOpened.value == nil, clock.now < end - .seconds(1) {
            clock.advance(by: .milliseconds(1))
            await Task.yield()
        }
        try await opening.value
        clock.advance(by: end - clock.now)
        try await scene.running.value
        #expect(clock.now == end)
    }

    @Test func `an expired session is not waited for`() async throws {
        let scene = try await Scene()
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        scene.connection.lose()
        scene.connection.say(.expired)
        try await scene.running.value
    }

    @Test func `the session is kept for the answer to a deletion`() async throws {
        let scene = try await Scene()
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        let deleted = OneShot<Void>()
        scene.held.release(after: deleted)
        scene.held.session.post(.delete(path: "/own")) { _ in deleted.set(()) }
        let deletion = await scene.connection.next { if case .delete = $0 { true } else { false } }
        #expect(scene.connection.closed.value == nil)
        deletion.answer(0)
        try await scene.running.value
    }

    // MARK: While it closes

    @Test func `a closing client deletes, and does nothing else`() async throws {
        let scene = try await Scene()
        let session = scene.held.session
        scene.running.cancel()
        _ = try await scene.held.waitForLoss()
        let refusal = ZooKeeperError(.clientStopped)
        await #expect(throws: refusal) { try await scene.client.exists(at: "/a") }
        await #expect(throws: refusal) { try await session.send(.data(path: "/a")) }
        let create = SessionRequest.multi([.delete("/own"), .create("/b")])
        await #expect(throws: refusal) { try await session.send(create) }
        await #expect(throws: refusal) { try await scene.client.connectedSession() }
        let late = session.hold("/late", czxid: ZXID(rawValue: 9))
        #expect(late.lossReason == .clientStopped)
        #expect(scene.client.presentConnection == nil)
        session.post(.multi([.check("/own"), .delete("/own")]))
        await scene.connection.next(where: \.isMulti).answer(0, .multi([]))
        scene.held.release()
        try await scene.running.value
    }

    @Test func `who waits for a session learns that none will come`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        _ = try await scripted.transport.connection(1)
        let waiting = Task { try await scripted.client.connectedSession() }
        await Task.yield()
        scripted.client.triggerGracefulShutdown()
        await #expect(throws: ZooKeeperError(.clientStopped)) { try await waiting.value }
        try await running.value
    }

    @Test func `who asks for a session after a refused credential learns the reason`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        try await scripted.transport.connection(1).say(.authenticationFailed)
        await #expect(throws: ZooKeeperError.self) { try await running.value }
        do {
            _ = try await scripted.client.connectedSession()
            Issue.record("there was a session")
        } catch let error as ZooKeeperError {
            #expect(error.code == .authenticationFailed)
        }
    }

    @Test func `watches end when the client is to end`() async throws {
        let scene = try await Scene()
        let event = OneShot<WatchEvent>()
        scene.held.session.post(.data(path: "/a", watch: WatchSink { event.set($0) }))
        await scene.connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
        scene.running.cancel()
        #expect(try await event.wait().kind == .sessionEnded)
        scene.held.release()
        try await scene.running.value
    }

    // MARK: Scoped use

    @Test func `only the end of the operation stops the client that it was given`() async throws {
        let scripted = try ScriptedClient()
        let entered = OneShot<Void>()
        let (ended, mayEnd) = (OneShot<Void>(), OneShot<Void>())
        let task = Task {
            try await scripted.client.running { client in
                let connection = try await scripted.connected()
                entered.set(())
                await withTaskCancellationHandler {
                    await withCheckedContinuation { continuation in mayEnd.observe { continuation.resume() } }
                } onCancel: {
                }
                #expect(Task.isCancelled)
                #expect(client.state.isConnected)
                #expect(connection.closed.value == nil)
                ended.set(())
            }
        }
        try await entered.wait()
        task.cancel()
        await Task.yield()
        #expect(scripted.client.state.isConnected)
        mayEnd.set(())
        try await task.value
        #expect(ended.value != nil)
        #expect(scripted.client.state.isClosed)
    }

    @Test func `a graceful shutdown around it does not stop the client of an operation`() async throws {
        let scripted = try ScriptedClient()
        try await testGracefulShutdown { trigger in
            try await scripted.client.running { client in
                _ = try await scripted.connected()
                trigger.triggerGracefulShutdown()
                await Task.yield()
                #expect(client.state.isConnected)
                _ = try await client.connectedSession()
            }
        }
        #expect(scripted.client.state.isClosed)
    }

    // MARK: Memory

    @Test func `nothing of a znode is left after its release, whoever observed it`() async throws {
        let scene = try await Scene()
        weak var gone: HeldNode?
        do {
            let held = scene.held.session.hold("/short", czxid: ZXID(rawValue: 7), watchingAfter: .seconds(1))
            held.onLoss { [held] _ in _ = held.path }
            held.onWrite { [held] _ in _ = held.path }
            held.release()
            gone = held
        }
        #expect(gone == nil)
        scene.held.release()
        scene.running.cancel()
        try await scene.running.value
        #expect(scene.client.core.state.withLock { $0.held.isEmpty && $0.held.unreleased.isEmpty })
    }
}
