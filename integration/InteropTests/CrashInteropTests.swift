import Testing
import ZooKeeper
import ZooKeeperSimulator

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

        static let withCurator = ["mutex", "write", "read", "semaphore:1", "selector", "latch"]
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
                    // The victim holds; the survivor waits.
                    let (held, queued) = ("\(base)/held-\(kind)", "\(base)/queued-\(kind)")
                    try await victim.ask("take held-\(kind) \(kind) \(held)")
                    let rival = kind == "read" ? "write" : kind
                    waiting[held] = survivor.begin("take held-\(kind) \(rival) \(held)")
                    // The survivor holds, the victim waits, and behind it the survivor again.
                    let first = try await survivor.ask("take first-\(kind) \(rival) \(queued)")
                    #expect(Int64(first) != nil)
                    let middle = victim.begin("take queued-\(kind) \(kind) \(queued)")
                    defer { middle.cancel() }
                    try await client.waiters(for: kind, at: queued, reach: 1)
                    waiting[queued] = survivor.begin("take queued-\(kind) \(rival) \(queued)")
                    try await client.waiters(for: kind, at: queued, reach: 2)
                    try await client.waiters(for: kind, at: held, reach: 1)
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

        @Test func `a killed operator's window ends, and processors of both makers go on`() async throws {
            try await forBothVictims { victim, scene in
                let survivors = [try await scene.peer(.toolkit), try await scene.peer(.curator)]
                let (base, ticket) = ("/crash-operator-\(victim.maker)", "processor-\(victim.maker)")
                for peer in survivors {
                    try await peer.ask("process \(ticket) \(base)")
                    try await peer.ask("tell \(ticket) 3")
                }
                try await victim.ask("take window window \(base)")
                let killed = await victim.kill()
                for peer in survivors { try await peer.ask("tell \(ticket) 3") }
                for peer in survivors { try await peer.ask("give \(ticket)") }
                let evidence = survivors.flatMap { $0.evidence(of: ticket) } + victim.takeEvidence()
                #expect(ExclusiveModeChecker().violations(in: evidence.exclusiveHistory).isEmpty)
                #expect(evidence.failures.isEmpty)
                let opened = try #require(evidence.grants.first).began
                for peer in survivors {
                    let next = try #require(evidence.events(of: "\(peer.name)/\(ticket)").first { $0 > opened })
                    // An operator of this package said that it keeps records, and left none: its gates wait a while.
                    let delay: Duration = (victim.maker, peer.maker) == (.toolkit, .toolkit) ? .seconds(5) : .zero
                    #expect(next > killed + delay)
                    #expect(next < killed + delay + InteropScene.patience)
                }
            }
        }

        @Test func `a killed processor holds the other maker's window up until its session has ended`() async throws {
            try await forBothVictims { victim, scene in
                let survivor = try await scene.peer(victim.maker == .curator ? .toolkit : .curator)
                let (base, ticket) = ("/crash-processor-\(victim.maker)", "window-\(victim.maker)")
                try await victim.ask("process processor \(base)")
                try await victim.ask("tell processor 3")
                let killed = await victim.kill()
                try await survivor.ask("take \(ticket) window \(base)")
                try await survivor.ask("give \(ticket)")
                let evidence = survivor.evidence(of: ticket) + victim.takeEvidence()
                #expect(ExclusiveModeChecker().violations(in: evidence.exclusiveHistory).isEmpty)
                let opened = try #require(evidence.grants.first).began
                #expect(opened > killed + .seconds(1))
                #expect(opened < killed + InteropScene.patience)
            }
        }

        /// Does the same with a victim of this package and one in the JVM, both at once.
        private func forBothVictims(
            _ body: @escaping @Sendable (Peer, InteropScene) async throws -> Void
        ) async throws {
            let scene = try InteropScene.current
            try await withThrowingTaskGroup(of: Void.self) { group in
                for maker in [Maker.toolkit, .curator] {
                    group.addTask { try await body(try await scene.victim(maker), scene) }
                }
                try await group.waitForAll()
            }
        }
    }
}

extension ZooKeeperClient {
    /// Waits until there are so many contenders behind the holder.
    fileprivate func waiters(for kind: String, at path: String, reach count: Int) async throws {
        // The holder of a semaphore's lease has left the queue.
        if kind.hasPrefix("semaphore") { return try await children(of: "\(path)/locks", reach: count) }
        try await children(of: path, reach: count + 1)
    }

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
