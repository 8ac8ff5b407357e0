import Testing
import ZooKeeper
import ZooKeeperTestKit

extension InteropTests {
    /// What a process held when it was killed passes on to the other maker's, when its session has ended.
    @Suite struct Crashes {
        /// Who is killed, who goes on, and with what.
        struct Pair: Sendable, CustomTestStringConvertible {
            var victim: Maker
            var survivor: Maker
            var kinds: [String]

            var testDescription: String { "\(victim) is killed, \(survivor) goes on" }
        }

        static let withCurator = ["mutex", "write", "read"]
        static let withKazoo = ["mutex", "write", "read"]
        static let pairs = [
            Pair(victim: .curator, survivor: .toolkit, kinds: withCurator),
            Pair(victim: .toolkit, survivor: .curator, kinds: withCurator),
            Pair(victim: .kazoo, survivor: .toolkit, kinds: withKazoo),
            Pair(victim: .toolkit, survivor: .kazoo, kinds: withKazoo),
        ]

        @Test(arguments: pairs)
        func `locks pass on, and places in their queues`(pair: Pair) async throws {
            let scene = try InteropScene.current
            let (victim, survivor) = (try await scene.victim(pair.victim), try await scene.peer(pair.survivor))
            let base = "/crash-\(pair.victim)-\(pair.survivor)"
            try await scene.withClient { client in
                _ = survivor.takeEvidence()
                var waiting: [String: Task<Int64, any Error>] = [:]
                for kind in pair.kinds {
                    // The victim holds; the survivor, who excludes all, waits.
                    let (held, queued) = ("\(base)/held-\(kind)", "\(base)/queued-\(kind)")
                    try await victim.ask("take held-\(kind) \(kind) \(held)")
                    let rival = kind == "read" ? "write" : kind
                    waiting[held] = survivor.begin("take held-\(kind) \(rival) \(held)")
                    // The survivor holds, the victim waits, and behind it the survivor again.
                    let first = try await survivor.ask("take first-\(kind) \(rival) \(queued)")
                    #expect(Int64(first) != nil)
                    let middle = victim.begin("take queued-\(kind) \(kind) \(queued)")
                    defer { middle.cancel() }
                    try await client.children(of: Layout(kind, at: queued).queue, reach: 2)
                    waiting[queued] = survivor.begin("take queued-\(kind) \(rival) \(queued)")
                    try await client.children(of: Layout(kind, at: queued).queue, reach: 3)
                    try await client.children(of: Layout(kind, at: held).queue, reach: 2)
                }
                let killed = await victim.kill()
                for kind in pair.kinds { try await survivor.ask("give first-\(kind)") }
                for (path, task) in waiting {
                    let token = try await task.value
                    let grants = survivor.evidence.grants
                    let grant = try #require(grants.first { $0.token == token }, "\(path)")
                    #expect(grant.began > killed, "\(path)")
                    #expect(grant.began < killed + InteropScene.patience, "\(path)")
                }
                for kind in pair.kinds {
                    try await survivor.ask("give held-\(kind)")
                    try await survivor.ask("give queued-\(kind)")
                }
            }
        }

        @Test(arguments: [Maker.curator, .toolkit])
        func `a killed operator's window ends, and the other maker's processors go on`(maker: Maker) async throws {
            let scene = try InteropScene.current
            let victim = try await scene.victim(maker)
            let survivors = [try await scene.peer(.toolkit), try await scene.peer(.curator)]
            let base = "/crash-operator-\(maker)"
            for peer in survivors {
                _ = peer.takeEvidence()
                try await peer.ask("process processor \(base)")
                try await peer.ask("tell processor 3")
            }
            try await victim.ask("take window window \(base)")
            let killed = await victim.kill()
            for peer in survivors { try await peer.ask("tell processor 3") }
            for peer in survivors { try await peer.ask("give processor") }
            let evidence = survivors.flatMap { $0.takeEvidence() } + victim.takeEvidence()
            #expect(ExclusiveModeChecker().violations(in: evidence.exclusiveHistory).isEmpty)
            #expect(evidence.failures.isEmpty)
            let opened = try #require(evidence.grants.first).began
            for who in ["toolkit", "curator"] {
                let next = try #require(evidence.events(of: who).first { $0 > opened })
                #expect(next > killed)
                // Processors of this package wait a while, in case the operator of this package still writes.
                let delay: Duration = (maker, who) == (.toolkit, "toolkit") ? .seconds(5) : .zero
                #expect(next < killed + InteropScene.patience + delay)
                #expect(next > killed + delay)
            }
        }

        @Test(arguments: [Maker.curator, .toolkit])
        func `a killed processor holds the other maker's window up until its session has ended`(
            maker: Maker
        ) async throws {
            let scene = try InteropScene.current
            let victim = try await scene.victim(maker)
            let survivor = try await scene.peer(maker == .curator ? .toolkit : .curator)
            _ = survivor.takeEvidence()
            let base = "/crash-processor-\(maker)"
            try await victim.ask("process processor \(base)")
            try await victim.ask("tell processor 3")
            let killed = await victim.kill()
            try await survivor.ask("take window window \(base)")
            try await survivor.ask("give window")
            let evidence = survivor.takeEvidence() + victim.takeEvidence()
            #expect(ExclusiveModeChecker().violations(in: evidence.exclusiveHistory).isEmpty)
            let opened = try #require(evidence.grants.first).began
            #expect(opened > killed + .seconds(1))
            #expect(opened < killed + InteropScene.patience)
        }
    }
}

/// Where a recipe's contenders stand.
struct Layout: Sendable {
    let queue: String

    init(_ kind: String, at path: String) {
        queue = kind.hasPrefix("semaphore") ? "\(path)/locks" : path
    }
}

extension ZooKeeperClient {
    /// Waits until a znode has so many children.
    func children(of path: String, reach count: Int) async throws {
        while true {
            let (stat, created) = try await watchExistence(at: path)
            guard stat != nil else {
                _ = try await created.event()
                continue
            }
            let (names, _, changed) = try await watchChildren(of: path)
            if names.count >= count { return }
            _ = try await changed.event()
        }
    }
}
