import Testing
import ZooKeeperSimulator

extension InteropTests {
    /// Elections in which both makers stand.
    @Suite struct Elections {
        @Test(arguments: ["selector", "latch"])
        func `leaders of two makers follow one another in the order of their candidates`(kind: String) async throws {
            let evidence = try await InteropScene.current.contend(
                [.toolkit, .curator], kinds: [.toolkit: kind, .curator: kind], at: "/\(kind)")
            #expect(FencedMutexChecker().violations(in: evidence.lockHistory).isEmpty)
            #expect(evidence.grants.count == 400)
            #expect(evidence.grants.isInOrder)
            #expect(evidence.grants.handovers > 100)
        }

        @Test(arguments: ["selector", "latch"])
        func `both makers list the same participants by their ids`(kind: String) async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            let path = "/participants-\(kind)"
            // The peers' names are their ids.
            try await theirs.ask("take first \(kind) \(path)")
            let second = ours.begin("take second \(kind) \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 2) }
            #expect(try await ours.ask("participants \(kind) \(path)") == "curator* toolkit")
            #expect(try await theirs.ask("participants \(kind) \(path)") == "curator* toolkit")
            let third = theirs.begin("take third \(kind) \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 3) }
            try await theirs.ask("give first")
            _ = try await second.value
            #expect(try await ours.ask("participants \(kind) \(path)") == "toolkit* curator")
            #expect(try await theirs.ask("participants \(kind) \(path)") == "toolkit* curator")
            try await ours.ask("give second")
            _ = try await third.value
            try await theirs.ask("give third")
        }

        @Test func `a directed transfer passes a JVM's candidate by, which leads afterwards`() async throws {
            let scene = try InteropScene.current
            let (first, waiting) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            let chosen = try await Peer(.toolkit, name: "chosen", scene: scene, sessionTimeout: .seconds(10))
            let path = "/transferred"
            for peer in [first, waiting] { _ = peer.takeEvidence() }
            try await first.ask("take office selector \(path)")
            let second = waiting.begin("take office selector \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 2) }
            let third = chosen.begin("take office selector \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 3) }
            try await first.ask("transfer office chosen")
            _ = try await third.value
            try await chosen.ask("give office")
            _ = try await second.value
            try await waiting.ask("give office")
            let grants = (first.takeEvidence() + waiting.takeEvidence() + chosen.takeEvidence()).grants
            #expect(grants.map(\.who) == ["toolkit/office", "chosen/office", "curator/office"])
            let ended = try #require(grants[1].ended)
            #expect(grants[2].began > ended)
        }

        @Test(arguments: [Maker.curator, .toolkit])
        func `a leader that is told to step down is followed by the other maker's`(leader: Maker) async throws {
            let scene = try InteropScene.current
            let first = try await scene.peer(leader)
            let second = try await scene.peer(leader == .curator ? .toolkit : .curator)
            let path = "/interrupted-\(leader)"
            try await first.ask("take first selector \(path)")
            let next = second.begin("take second selector \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 2) }
            try await first.ask("interrupt first")
            _ = try await next.value
            try await second.ask("give second")
        }
    }
}
