import Synchronization
import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// What callers do with permits: release them, wait for them, use them as grants.
@Suite(.timeLimit(.minutes(5))) struct EventPermitTests {
    // MARK: Release

    @Test func `a permit that is released twice stops the process with a message`() async throws {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let scene = try GateScene()
            scene.prove(until: 4)
            _ = scene.openGate(1)
            let permit = try #require(scene.gate.tryEnter())
            permit.leave()
            // The place belongs to another event now, which must not be counted out.
            _ = scene.gate.tryEnter()
            permit.leave()
        }
        let message = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
        #expect(message.contains("released twice"))
    }

    @Test func `a permit that was released is no longer valid, also while its place is taken anew`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let permits = (0..<20).compactMap { _ in scene.gate.tryEnter() }
        #expect(permits.count == 20 && permits.allSatisfy { $0.isValid })
        for permit in permits { permit.leave() }
        let others = (0..<20).compactMap { _ in scene.gate.tryEnter() }
        #expect(permits.allSatisfy { !$0.isValid && $0.validUntil == nil })
        #expect(others.allSatisfy { $0.isValid })
        await #expect(throws: RecipeError.self) { _ = try await permits[0].transaction([.check("/")]) }
        for permit in others { permit.leave() }
    }

    @Test func `closures release their permits, also with an error and beside many others`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let gate = scene.gate
        let others = (0..<50).compactMap { _ in gate.tryEnter() }
        #expect(gate.counter.total == 50)
        await #expect(throws: CancellationError.self) {
            try await gate.withSynchronousPermit { _ in
                #expect(gate.counter.total == 51)
                throw CancellationError()
            }
        }
        await #expect(throws: CancellationError.self) {
            try await gate.withPermit { _ in
                #expect(gate.counter.total == 51)
                await Task.yield()
                throw CancellationError()
            }
        }
        #expect(gate.counter.total == 50)
        for permit in others { permit.leave() }
        #expect(gate.counter.total == 0)
    }

    @Test func `an operation sees the cancellation of its caller, before and while it runs`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let (gate, started) = (scene.gate, OneShot<Void>())
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await gate.withPermit { _ in Task.isCancelled }
        }
        #expect(try await cancelled.value)
        let waiting = Task {
            try await gate.withPermit { _ in
                started.set(())
                try await OneShot<Void>().wait()
            }
        }
        try await started.wait()
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(gate.counter.total == 0)
        #expect(gate.core.shared.withLock { $0.tasks.isEmpty })
    }

    @Test func `a permit does not keep its gate in memory`() async throws {
        let scene = try GateScene()
        weak var gate: EventGate?
        let permit: EventPermit
        do {
            let own = scene.gate.mode.gate(id: "own")
            gate = own
            let hold = scene.session.holdWatched("/base/locks/1", czxid: 1, of: scene.client)
            scene.prove(until: 4)
            own.open(own.prepare(hold))
            permit = try #require(own.tryEnter())
        }
        #expect(gate == nil)
        #expect(permit.isValid)
        permit.leave()
    }

    // MARK: Grant

    @Test func `a permit is a grant that is valid until the deadline, and is lost with the znode`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        let permit = try #require(scene.gate.tryEnter())
        #expect(permit.validUntil == scene.clock.continuousInstant(MonotonicInstant(nanoseconds: 0) + .seconds(4)))
        grant.hold.lose(.znodeDeleted)
        #expect(permit.validUntil == nil)
        #expect(try await permit.waitUntilLost() == .znodeDeleted)
        permit.leave()
        _ = scene.openGate(2)
        #expect(!permit.isValid)
        let error = await #expect(throws: RecipeError.self) { try await permit.transaction([.check("/a")]) }
        #expect(error?.code == .lost)
    }

    // MARK: Limits, and plain threads

    @Test func `waiting for a shut gate ends at the timeout, and an open gate lets in without one`() async throws {
        let client = try ZooKeeperClient.withoutServer(clock: SystemMonotonicClock())
        let shut = try ExclusiveMode(client: client, path: "/base").gate(id: "one")
        for timeout in [Duration.zero, .milliseconds(20)] {
            let codes = [
                await recipeErrorCode { try await shut.enter(timeout: timeout).leave() },
                await recipeErrorCode { try await shut.withPermit(timeout: timeout) { _ in } },
                await recipeErrorCode { try await shut.withSynchronousPermit(timeout: timeout) { _ in } },
                await onThread { Self.blockingCode { try shut.enterBlocking(timeout: timeout).leave() } },
            ]
            #expect(codes == Array(repeating: .timedOut, count: codes.count))
        }
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        try await scene.gate.enter(timeout: .zero).leave()
        #expect(scene.gate.counter.total == 0)
    }

    @Test func `a thread that is blocked enters when the gate opens`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let (gate, started) = (scene.gate, OneShot<Void>())
        let thread = Task {
            await onThread {
                started.set(())
                return Self.blockingCode {
                    let permit = try gate.enterBlocking(timeout: .seconds(60))
                    #expect(permit.fencingToken.rawValue == 1)
                    #expect(gate.counter.total == 1)
                    permit.leave()
                }
            }
        }
        try await started.wait()
        // Also a deadline that has passed, and moves: the gate is open, and admits nobody until then.
        scene.clock.set(.seconds(5))
        _ = scene.openGate(1)
        scene.prove(until: 10)
        #expect(await thread.value == nil)
        #expect(gate.counter.total == 0)
    }

    @Test func `a gate that stops ends the wait of a blocked thread`() async throws {
        let gate = try GateScene().gate
        let started = OneShot<Void>()
        let thread = Task {
            await onThread {
                started.set(())
                return Self.blockingCode { try gate.enterBlocking().leave() }
            }
        }
        try await started.wait()
        gate.stop()
        try await gate.run()
        #expect(await thread.value == .stopped)
        #expect(await onThread { Self.blockingCode { try gate.enterBlocking().leave() } } == .stopped)
    }

    private static func blockingCode(_ call: () throws -> Void) -> RecipeError.Code? {
        do {
            try call()
            return nil
        } catch {
            return (error as? RecipeError)?.code
        }
    }

    @Test func `a gate with a scope ends with its operation`() async throws {
        let client = try ZooKeeperClient.withoutServer(clock: SystemMonotonicClock())
        let mode = try ExclusiveMode(client: client, path: "/base")
        let gate = try await mode.withGate(id: "one") { gate in
            #expect(gate.id == "one")
            #expect(gate.tryEnter() == nil)
            return gate
        }
        #expect(gate.state == .stopped)
        await #expect(throws: CancellationError.self) { try await mode.withGate { _ in throw CancellationError() } }
        // If the gate ended first, its error is thrown.
        client.triggerGracefulShutdown()
        let error = await #expect(throws: ZooKeeperError.self) {
            try await mode.withGate { try await $0.enter().leave() }
        }
        #expect(error?.code == .clientStopped)
    }
}
