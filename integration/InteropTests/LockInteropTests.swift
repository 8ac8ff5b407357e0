import Testing
import ZooKeeperTestKit

extension InteropTests {
    /// Who holds a lock, when processes of different makers want it.
    @Suite struct Locks {
        @Test(arguments: [Maker.curator, .kazoo])
        func `readers and writers of two makers keep out of each other's way`(other: Maker) async throws {
            let evidence = try await InteropScene.current.contend(
                [.toolkit, other], kinds: [.toolkit: "read-write-downgrading", other: "read-write"],
                at: "/read-write-\(other)")
            #expect(ReadWriteLockChecker().violations(in: evidence.lockHistory).isEmpty)
            #expect(evidence.grants.count == 400)
            #expect(evidence.grants.handovers > 50)
        }

        @Test(arguments: [Maker.curator, .kazoo])
        func `a mutex that two makers share is granted in the order of its znodes`(other: Maker) async throws {
            let evidence = try await InteropScene.current.contend(
                [.toolkit, other], kinds: [.toolkit: "mutex", other: "mutex"], at: "/mutex-\(other)")
            #expect(FencedMutexChecker().violations(in: evidence.lockHistory).isEmpty)
            #expect(evidence.grants.count == 400)
            #expect(evidence.grants.isInOrder)
            #expect(evidence.grants.handovers > 100)
        }
    }
}
