import Simulations
import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// Windows whose operator is killed while the operation runs.
@Suite struct CrashedWindowTests {
    private static let resumeDelay = ExclusiveMode.Configuration().resumeDelay

    /// Runs a window whose operator is killed, up to the end of its session, which is returned.
    private static func crash(in scene: ExclusiveScene) throws -> MonotonicInstant {
        let before = scene.opened.all.count
        let crashing = try scene.startOperator("crashing") { client in
            try await client.clock.sleep(until: client.clock.now + .seconds(60))
        }
        scene.run(.seconds(1))
        try #require(scene.opened.all.count == before + 1)
        crashing.kill()
        let end = scene.simulation.now + .seconds(30)
        scene.simulation.run(until: end) { scene.ensemble.node("/mode/signal") != nil }
        try #require(scene.simulation.now < end)
        return scene.simulation.now
    }

    private static func records(in scene: ExclusiveScene) -> [WindowRecord.Outcome] {
        WindowRecord.list(scene.ensemble.node("/mode/windows")?.data ?? []).map(\.outcome)
    }

    /// How the window ends that follows the crashed one.
    enum Next: CaseIterable { case completed, aborted, crashed }

    @Test(arguments: Next.allCases)
    func `a window right after a crashed one does not shorten the resume delay`(next: Next) async throws {
        let (crashes, admitted, opened, outcomes, left) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            var crashes = [try Self.crash(in: scene)]
            switch next {
            case .completed: _ = try scene.startOperator()
            case .aborted: _ = try scene.startOperator(drain: .abort(after: .milliseconds(200)))
            case .crashed:
                let operation = try scene.startOperator()
                scene.run(.seconds(1))
                operation.kill()
                scene.simulation.run(until: scene.simulation.now + .seconds(30)) {
                    scene.ensemble.node("/mode/signal") != nil
                }
                crashes.append(scene.simulation.now)
            }
            scene.run(.seconds(30))
            return (
                crashes, scene.admitted(after: crashes[0]), scene.opened.all.last, Self.records(in: scene),
                scene.ensemble.children(of: "/mode/windows")
            )
        }
        let first = try #require(admitted.first)
        #expect(crashes.allSatisfy { first - $0 >= Self.resumeDelay })
        // The second one's operation waits as well.
        if next == .completed { #expect(try #require(opened) - crashes[0] >= Self.resumeDelay) }
        #expect(admitted.count > 500)
        switch next {
        case .completed: #expect(outcomes == [.crashed, .completed])
        case .aborted: #expect(outcomes == [.aborted, .crashed])
        case .crashed: #expect(outcomes == [.crashed, .crashed])
        }
        #expect(left == [])
    }

    @Test func `a gate that starts after a crash waits as those that saw it, and then nobody waits again`() async throws
    {
        let (crash, early, late, left) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            let crash = try Self.crash(in: scene)
            _ = try scene.startProcessor()
            scene.run(.seconds(10))
            let started = scene.simulation.now
            _ = try scene.startProcessor("another")
            scene.run(.seconds(1))
            return (
                crash, scene.admitted(after: crash), scene.admitted(after: started),
                scene.ensemble.children(of: "/mode/windows")
            )
        }
        #expect(try #require(early.first) - crash >= Self.resumeDelay)
        // Two processors, of which one started a moment ago.
        #expect(late.count > 80)
        #expect(left == [])
    }

    @Test func `every gate waits its time, and one of them writes the record`() async throws {
        let (crash, admitted, outcomes) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            for number in 1...20 { _ = try scene.startProcessor("processor\(number)") }
            scene.run(.seconds(2))
            let crash = try Self.crash(in: scene)
            scene.run(Self.resumeDelay + .milliseconds(500))
            return (crash, scene.admitted(after: crash), Self.records(in: scene))
        }
        #expect(try #require(admitted.first) - crash >= Self.resumeDelay)
        #expect(admitted.count > 200)
        #expect(outcomes == [.crashed])
    }

    @Test func `who gives up sooner than the resume delay does so in time, and names the operator`() async throws {
        let (waited, error) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try Self.crash(in: scene)
            let (error, asked) = (Broadcast<RecipeError?>(nil), scene.simulation.now)
            let hasty = try scene.start("hasty") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                do {
                    try await mode.withWindow(reason: "hasty", drain: .abort(after: .seconds(1))) { _ in }
                } catch let thrown as RecipeError {
                    error.send(thrown)
                }
            }
            scene.simulation.run(until: asked + .seconds(30)) { hasty.isRunning }
            return (scene.simulation.now - asked, error.current)
        }
        #expect(waited < .milliseconds(1500))
        #expect(error?.code == .notPaused && error?.participants == [ProcessIdentity.current.description])
    }
}
