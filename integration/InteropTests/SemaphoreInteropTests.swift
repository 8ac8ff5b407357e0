import Testing
import ZooKeeperSimulator

extension InteropTests {
    /// Semaphores whose leases both makers take.
    @Suite struct Semaphores {
        @Test func `a semaphore with one lease is a mutex for both makers`() async throws {
            let evidence = try await InteropScene.current.contend(
                [.toolkit, .curator], kinds: [.toolkit: "semaphore:1", .curator: "semaphore:1"], at: "/semaphore-1")
            #expect(FencedMutexChecker().violations(in: evidence.lockHistory).isEmpty)
            #expect(evidence.grants.count == 400)
            #expect(evidence.grants.isInOrder)
            #expect(evidence.grants.handovers > 100)
        }

        // Curator's semaphore believes its own number, or, as this package's, the one that stands at the ensemble.
        @Test(arguments: ["semaphore:3", "shared-semaphore:7"])
        func `both makers never hold more leases than there are`(theirs: String) async throws {
            let ours = try await InteropScene.current.peer(.toolkit)
            try await ours.ask("take limit semaphore:3 /\(theirs)")
            try await ours.ask("give limit")
            let evidence = try await InteropScene.current.contend(
                [.toolkit, .curator], kinds: [.toolkit: "semaphore:3", .curator: theirs], at: "/\(theirs)",
                contenders: 4, times: 50)
            #expect(evidence.grants.count == 400)
            #expect((2...3).contains(evidence.grants.mostAtOnce))
        }
    }
}
