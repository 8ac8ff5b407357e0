import Testing
import ZooKeeperTestKit

extension InteropTests {
    /// Groups with members of both makers.
    @Suite struct Groups {
        @Test func `members of both makers see one another come and go`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            let path = "/group"
            try await ours.ask("join a \(path) ours-a one")
            for round in 0..<50 {
                try await theirs.ask("join b \(path) theirs-b b\(round)")
                try await ours.ask("join c \(path) ours-c c\(round)")
                let all = "ours-a=one ours-c=c\(round) theirs-b=b\(round)"
                #expect(try await ours.ask("tell a \(all)") == all)
                #expect(try await theirs.ask("tell b \(all)") == all)
                try await ours.ask("give c")
                #expect(try await theirs.ask("tell b ours-a=one theirs-b=b\(round)").hasPrefix("ours-a"))
                try await theirs.ask("give b")
                #expect(try await ours.ask("tell a ours-a=one") == "ours-a=one")
            }
            try await ours.ask("give a")
        }

        @Test func `a killed member of either maker leaves the other maker's group`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            async let (one, two) = (scene.victim(.toolkit), scene.victim(.curator))
            let victims = [try await one, try await two]
            for peer in victims + [ours, theirs] { try await peer.ask("join member /crash-group \(peer.name) here") }
            let all = "curator=here toolkit=here victim-curator=here victim-toolkit=here"
            for peer in [ours, theirs] { try await peer.ask("tell member \(all)") }
            for victim in victims { await victim.kill() }
            for peer in [ours, theirs] { try await peer.ask("tell member curator=here toolkit=here") }
            for peer in [ours, theirs] { try await peer.ask("give member") }
        }
    }
}
