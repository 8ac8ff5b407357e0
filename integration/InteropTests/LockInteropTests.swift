import Testing
import ZooKeeper
import ZooKeeperSimulator

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

        @Test func `a holder of ours hears of a revocation by Curator, and keeps its name`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            let path = "/revoked"
            try await ours.ask("take mine mutex \(path)")
            try await theirs.ask("revoke \(path)")
            #expect(try await ours.ask("tell mine") == "-")
            try await scene.withClient { client in
                let child = try #require(try await client.children(of: path).names.first)
                while true {
                    let (data, _, changed) = try await client.watchData(at: "\(path)/\(child)")
                    if data == Array("toolkit".utf8) { break }
                    _ = try await changed.event()
                }
            }
            try await ours.ask("give mine")
        }
    }
}
