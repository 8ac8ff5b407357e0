import Testing
import ZooKeeperRecipes
import ZooKeeperSimulator

extension InteropTests {
    /// Exclusive mode with processors and operators in the JVM: Curator's read-write lock and node cache.
    @Suite struct Exclusive {
        @Test func `our windows and the JVM's keep both makers' processors out`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            for peer in [ours, theirs] {
                _ = peer.takeEvidence()
                try await peer.ask("process processor /exclusive")
                try await peer.ask("tell processor 10")
            }
            var windows = 0
            for round in 0..<20 {
                // One after the other, then against each other.
                let operators = round < 10 ? [round % 2 == 0 ? ours : theirs] : [ours, theirs]
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for peer in operators { group.addTask { try await peer.ask("loop window /exclusive 1 5") } }
                    try await group.waitForAll()
                }
                windows += operators.count * 5
                for peer in [ours, theirs] { try await peer.ask("tell processor 3") }
            }
            for peer in [ours, theirs] { try await peer.ask("give processor") }
            let evidence = ours.takeEvidence() + theirs.takeEvidence()
            #expect(ExclusiveModeChecker().violations(in: evidence.exclusiveHistory).isEmpty)
            #expect(evidence.failures.isEmpty)
            #expect(evidence.grants.count == windows)
            #expect(evidence.eventCount > 100)
        }

        @Test func `a hold keeps both makers' processors paused, also around our windows`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            for peer in [ours, theirs] {
                try await peer.ask("process processor /held")
                try await peer.ask("tell processor 10")
            }
            try await scene.withClient { client in
                let mode = try ExclusiveMode(client: client, path: "/held")
                for _ in 0..<5 {
                    try await mode.hold(reason: "test", id: "ada")
                    try await mode.waitUntilPaused(timeout: .seconds(30))
                    for peer in [ours, theirs] { _ = peer.takeEvidence() }
                    try await ours.ask("loop window /held 1 5")
                    try await mode.waitUntilPaused(timeout: .seconds(30))
                    let evidence = ours.takeEvidence() + theirs.takeEvidence()
                    #expect(evidence.grants.count == 5 && evidence.eventCount == 0)
                    #expect(try await mode.removeHold("ada"))
                    for peer in [ours, theirs] { try await peer.ask("tell processor 3") }
                }
            }
            for peer in [ours, theirs] { try await peer.ask("give processor") }
            #expect((ours.takeEvidence() + theirs.takeEvidence()).failures.isEmpty)
        }
    }
}
