import Simulations
import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// Holds of an exclusive mode, and windows at the same time.
@Suite struct HoldTests {
    private static let resumeDelay = ExclusiveMode.Configuration().resumeDelay

    /// Performs an operation of an operator, in a process that is killed right after it.
    private static func operate(
        in scene: ExclusiveScene, _ operation: @escaping @Sendable (ExclusiveMode) async throws -> Void
    ) throws {
        let isDone = Ticks()
        let process = try scene.start("holder") { client in
            try await operation(ExclusiveMode(client: client, path: "/mode"))
            isDone.note(client.clock.now)
            try await OneShot<Void>().wait()
        }
        let end = scene.simulation.now + .seconds(20)
        scene.simulation.run(until: end) { isDone.all.isEmpty }
        try #require(!isDone.all.isEmpty)
        process.kill()
    }

    private static func hold(_ owner: String, in scene: ExclusiveScene) throws {
        try operate(in: scene) { mode in try await mode.hold(reason: "test", id: owner) }
    }

    private static func remove(_ owner: String, in scene: ExclusiveScene) throws {
        try operate(in: scene) { mode in try await mode.removeHold(owner) }
    }

    private static func signal(in scene: ExclusiveScene) -> SignalRecord? {
        scene.ensemble.node("/mode/signal").map { SignalRecord($0.data ?? []) }
    }

    @Test func `processors resume when the last of several holds is removed, whatever becomes of the operators`()
        async throws
    {
        let (before, during, after, left) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            let start = scene.simulation.now
            try Self.hold("ada", in: scene)
            try Self.hold("bob", in: scene)
            let held = scene.simulation.now
            // The operators' sessions expire, and another processor starts.
            scene.run(.seconds(20))
            _ = try scene.startProcessor("another")
            scene.run(.seconds(5))
            try Self.remove("ada", in: scene)
            scene.run(.seconds(5))
            let removed = scene.simulation.now
            try Self.remove("bob", in: scene)
            scene.run(.seconds(4))
            return (
                scene.admitted(from: .distantPast, to: start), scene.admitted(from: held, to: removed),
                scene.admitted(after: removed).count,
                scene.ensemble.children(of: "/mode/windows") + scene.ensemble.children(of: "/mode/signal")
            )
        }
        #expect(before > 50)
        #expect(during == 0)
        #expect(after > 200)
        #expect(left == [])
    }

    @Test func `a window opens during a hold, and the processors stay paused after it`() async throws {
        let (opened, during, after) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            try Self.hold("ada", in: scene)
            scene.run(.seconds(1))
            let held = scene.simulation.now
            for _ in 0..<2 {
                _ = try scene.startOperator { client in
                    try await client.clock.sleep(until: client.clock.now + .seconds(2))
                }
            }
            scene.run(.seconds(10))
            let removed = scene.simulation.now
            try Self.remove("ada", in: scene)
            scene.run(.seconds(4))
            return (
                scene.opened.all.map { $0 - held }, scene.admitted(from: held, to: removed),
                scene.admitted(after: removed).count
            )
        }
        try #require(opened.count == 2)
        #expect(opened[0] < .milliseconds(500) && opened[1] > .seconds(2))
        #expect(during == 0)
        #expect(after > 80)
    }

    @Test func `the last hold is removed when the window that needs its signal has ended`() async throws {
        let (removed, ended, during, after) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            try Self.hold("ada", in: scene)
            let ended = Ticks()
            _ = try scene.startOperator { client in
                try await client.clock.sleep(until: client.clock.now + .seconds(5))
                ended.note(client.clock.now)
            }
            scene.run(.seconds(1))
            let held = scene.simulation.now
            try Self.remove("ada", in: scene)
            let removed = scene.simulation.now
            scene.run(.seconds(4))
            return (
                removed, ended.all, scene.admitted(from: held, to: ended.all.first ?? held),
                scene.admitted(after: removed).count
            )
        }
        #expect(ended.count == 1 && ended[0] <= removed)
        #expect(during == 0)
        #expect(after > 80)
    }

    @Test func `a hold that begins during a window has a signal from the end of the window on`() async throws {
        let (windows, holds, during) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            _ = try scene.startOperator { client in
                try await client.clock.sleep(until: client.clock.now + .seconds(3))
            }
            scene.run(.seconds(1))
            let start = scene.simulation.now
            try Self.hold("ada", in: scene)
            let windows = Self.signal(in: scene)?.isHold
            var wasAbsent = false
            scene.ensemble.didCommit = { [didCommit = scene.ensemble.didCommit] in
                didCommit($0)
                wasAbsent = wasAbsent || scene.ensemble.node("/mode/signal") == nil
            }
            scene.run(.seconds(5))
            return (windows, [Self.signal(in: scene)?.isHold, !wasAbsent], scene.admitted(after: start).count)
        }
        #expect(windows == false)
        #expect(holds == [true, true])
        #expect(during == 0)
    }

    @Test func `a hold that begins during a window outlasts the crash of that window`() async throws {
        let (during, restored, after, outcomes) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            let window = try scene.startOperator { client in
                try await client.clock.sleep(until: client.clock.now + .seconds(60))
            }
            scene.run(.seconds(1))
            let start = scene.simulation.now
            try Self.hold("ada", in: scene)
            window.kill()
            scene.run(.seconds(30))
            let (removed, restored) = (scene.simulation.now, Self.signal(in: scene)?.isHold)
            try Self.remove("ada", in: scene)
            scene.run(.seconds(10))
            return (
                scene.admitted(from: start, to: removed), restored,
                scene.admitted(after: removed).first.map { $0 - removed },
                WindowRecord.list(scene.ensemble.node("/mode/windows")?.data ?? []).map(\.outcome)
            )
        }
        #expect(during == 0)
        #expect(restored == true)
        // The gate has waited for the operation of the crashed window during the hold.
        #expect(try #require(after) < Self.resumeDelay)
        #expect(outcomes == [.crashed])
    }

    @Test func `a gate that still waits for an event does not open again for a hold whose signal went with a window`()
        async throws
    {
        let (during, restored) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor(longEvent: .seconds(30))
            scene.run(.seconds(2))
            // This window never opens, because the processor has not paused.
            let window = try scene.startOperator()
            scene.run(.seconds(1))
            let start = scene.simulation.now
            try Self.hold("ada", in: scene)
            window.kill()
            scene.run(.seconds(40))
            return (scene.admitted(after: start).count, Self.signal(in: scene)?.isHold)
        }
        #expect(during == 0)
        #expect(restored == true)
    }

    @Test func `a signal of holds that an administrator deletes is created again, and no gate opens`() async throws {
        let (during, restored) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            try Self.hold("ada", in: scene)
            scene.run(.seconds(1))
            let start = scene.simulation.now
            for _ in 0..<5 {
                _ = try scene.start("admin") { client in try await client.delete("/mode/signal") }
                scene.run(.seconds(1))
            }
            return (scene.admitted(after: start).count, Self.signal(in: scene)?.isHold)
        }
        #expect(during == 0)
        #expect(restored == true)
    }

    @Test func `a window that crashes during a hold leaves the processors paused, and then they wait for it`()
        async throws
    {
        let (during, after, left) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            try Self.hold("ada", in: scene)
            scene.run(.seconds(1))
            let start = scene.simulation.now
            let window = try scene.startOperator { client in
                try await client.clock.sleep(until: client.clock.now + .seconds(60))
            }
            scene.run(.seconds(1))
            window.kill()
            // The removal waits for the end of the session.
            try Self.remove("ada", in: scene)
            let removed = scene.simulation.now
            scene.run(.seconds(10))
            return (
                scene.admitted(from: start, to: removed), scene.admitted(after: removed).first.map { $0 - removed },
                scene.ensemble.children(of: "/mode/windows")
            )
        }
        #expect(during == 0)
        #expect(try #require(after) >= Self.resumeDelay)
        #expect(left == [])
    }
}
