import Testing
import ZooKeeperSimulator

extension InteropTests {
    /// Writers that go on as readers.
    @Suite struct Downgrades {
        @Test(arguments: [Maker.curator, .kazoo])
        func `a downgraded lock of ours keeps the other maker's queued writer out`(other: Maker) async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(other))
            for peer in [ours, theirs] { _ = peer.takeEvidence() }
            let path = "/downgrade-\(other)"
            let writer = try await scene.withClient { client in
                try await ours.ask("take mine write \(path)")
                let writer = theirs.begin("take writer write \(path)")
                try await client.children(of: path, reach: 2)
                return writer
            }
            try await ours.ask("downgrade mine")
            // The writer has been woken, and has time to make the mistake.
            try await theirs.ask("loop mutex /elsewhere-\(other) 1 20")
            try await ours.ask("give mine")
            _ = try await writer.value
            try await theirs.ask("give writer")

            let evidence = (ours.takeEvidence() + theirs.takeEvidence()).ofTickets
            #expect(ReadWriteLockChecker().violations(in: evidence.lockHistory).isEmpty)
            let (mine, next) = (evidence.grants[0], try #require(evidence.grants.last))
            #expect(next.began > (try #require(mine.ended)))
        }

        @Test(arguments: [Maker.curator, .kazoo])
        func `a downgraded lock of ours lets the other maker's readers in`(other: Maker) async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(other))
            for peer in [ours, theirs] { _ = peer.takeEvidence() }
            let path = "/downgrade-readers-\(other)"
            try await ours.ask("take mine write \(path)")
            let reader = theirs.begin("take reader read \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 2) }
            try await ours.ask("downgrade mine")
            _ = try await reader.value
            try await ours.ask("give mine")
            try await theirs.ask("give reader")
            let evidence = (ours.takeEvidence() + theirs.takeEvidence()).ofTickets
            #expect(ReadWriteLockChecker().violations(in: evidence.lockHistory).isEmpty)
        }

        @Test func `a lock that Curator downgraded keeps writers of ours out that come later`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            for peer in [ours, theirs] { _ = peer.takeEvidence() }
            let path = "/curator-downgrade"
            try await theirs.ask("take theirs write \(path)")
            try await theirs.ask("downgrade theirs")
            let writer = ours.begin("take writer write \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 2) }
            try await ours.ask("loop mutex /elsewhere 1 20")
            try await theirs.ask("give theirs")
            _ = try await writer.value
            try await ours.ask("give writer")
            let evidence = (ours.takeEvidence() + theirs.takeEvidence()).ofTickets
            #expect(ReadWriteLockChecker().violations(in: evidence.lockHistory).isEmpty)
        }

        // Its read znode has a number of its own, behind the queued writer's: nothing that another contender could wait for
        // tells that it still reads. From 5.5.0 on Curator gives it the write znode's number, as this package does.
        @Test func `Curator 5.4.0 lets a writer in that was queued when it downgraded`() async throws {
            let scene = try InteropScene.current
            let (ours, theirs) = (try await scene.peer(.toolkit), try await scene.peer(.curator))
            try #require(theirs.version == "5.4.0", "what a newer Curator does is not known here")
            for peer in [ours, theirs] { _ = peer.takeEvidence() }
            let path = "/curator-downgrade-queued"
            try await theirs.ask("take theirs write \(path)")
            let writer = ours.begin("take writer write \(path)")
            try await scene.withClient { try await $0.children(of: path, reach: 2) }
            try await theirs.ask("downgrade theirs")
            let token = try await writer.value
            try await theirs.ask("give theirs")
            try await ours.ask("give writer")
            let evidence = (ours.takeEvidence() + theirs.takeEvidence()).ofTickets
            #expect(!ReadWriteLockChecker().violations(in: evidence.lockHistory).isEmpty)
            // A store that checks tokens is safe all the same: the writer's is higher.
            let reader = try #require(evidence.grants.first)
            #expect(reader.token < token)
        }
    }
}
