import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What happens to leaders, and to those who wait, when something fails.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct LeaderFaultTests {
    @Test func `a lost connection leaves the leader in office`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(10)) { scene in
            let leader = try scene.near()
            let term = try await leader.leads()
            let names = try await scene.candidates()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            #expect(term.isValid && leader.selector.isLeader)
            await scene.proxy.accept()
            await scene.client.state { $0.isConnected }
            #expect(term.isValid && leader.selector.term === term)
            #expect(try await scene.candidates() == names)
            try await leader.stop()
        }
    }

    @Test func `a silent network ends the term at its deadline, before the server ends the session`() async throws {
        try await LeaderScene.with { scene in
            let notes = Notes()
            let leader = try scene.near { term in
                try? await OneShot<Void>().wait()
                notes.add("cancelled, \(term.isValid)")
            }
            let term = try await leader.leads()
            await scene.proxy.hold(.both)
            // The server's word of it comes after the term's own.
            try await scene.candidates(where: \.isEmpty)
            #expect(!term.isValid && !leader.selector.isLeader)
            #expect(try await term.waitUntilLost() == .deadlinePassed)
            await notes.count(1)
            #expect(notes.all == ["cancelled, false"])
            await scene.proxy.release(.both)
            try await leader.leads(term: 2)
            try await leader.stop()
            try await scene.candidates(where: \.isEmpty)
        }
    }

    @Test func `an expired session ends the term, and the participant stands again with a new candidate`()
        async throws
    {
        try await LeaderScene.with { scene in
            let leader = try scene.near()
            let term = try await leader.leads()
            let old = try #require(try await scene.candidates().first)
            let next = try scene.far()
            await next.waits()
            try await scene.server.expireSession(of: scene.client)
            let after = try await next.leads()
            #expect(after.fencingToken > term.fencingToken)
            // Whatever it hears of first: that its candidate is gone, that its session is, or nothing until its deadline.
            #expect([.znodeDeleted, .sessionEnded, .deadlinePassed].contains(try await term.waitUntilLost()))
            #expect(!term.isValid)
            let error = await #expect(throws: RecipeError.self) { try await term.transaction([.check("/")]) }
            #expect(error?.code == .lost || error?.code == .notLeading)
            try await scene.candidates { $0.count == 2 && !$0.contains { $0.prefix == old.prefix } }
            try await next.stop()
            let last = try await leader.leads(term: 2)
            #expect(last.fencingToken > after.fencingToken)
            try await leader.stop()
        }
    }

    @Test func `who waits and gets a new session leads by its new candidate alone`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.far()
            try await leader.leads()
            let waiter = try scene.near()
            await waiter.waits()
            let old = try await scene.candidates()[1]
            try await scene.server.expireSession(of: scene.client)
            let names = try await scene.candidates { $0.count == 2 && !$0.contains(old) }
            try await leader.stop()
            try await waiter.leads()
            let stat = try await scene.other.exists(at: scene.path(names[1]))
            #expect(stat?.ephemeralOwner == scene.client.session?.id)
            try await waiter.stop()
        }
    }

    @Test func `a server that restarts moves nothing`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(30)) { scene in
            let leader = try scene.near()
            let term = try await leader.leads()
            let waiter = try scene.far()
            await waiter.waits()
            let names = try await scene.candidates()
            await scene.server.kill()
            await scene.client.state { $0.isSuspended }
            try await scene.server.start()
            await scene.client.state { $0.isConnected }
            #expect(try await scene.candidates() == names)
            #expect(term.isValid && leader.selector.term === term)
            try await leader.stop()
            try await waiter.leads()
            try await waiter.stop()
        }
    }

    @Test func `a leader whose candidate is deleted stops at once and stands again`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near()
            let term = try await leader.leads()
            let next = try scene.far()
            await next.waits()
            try await scene.other.delete(scene.path(scene.candidates()[0]))
            #expect(try await term.waitUntilLost() == .znodeDeleted)
            #expect(!term.isValid)
            try await next.leads()
            await leader.waits()
            try await next.stop()
            try await leader.leads(term: 2)
            try await leader.stop()
        }
    }

    @Test func `who waits and whose candidate is deleted stands again`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.far()
            try await leader.leads()
            let waiter = try scene.near()
            await waiter.waits()
            let old = try await scene.candidates()[1]
            try await scene.other.delete(scene.path(old))
            try await scene.candidates { $0.count == 2 && !$0.contains(old) }
            try await leader.stop()
            try await waiter.leads()
            try await waiter.stop()
        }
    }

    @Test func `cancelled before its turn, a participant leaves nothing behind`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.far()
            try await leader.leads()
            let waiter = try scene.near()
            await waiter.waits()
            try await waiter.stop()
            #expect(try await scene.candidates().count == 1)
            let early = try scene.near("early")
            early.task.cancel()
            try await early.task.value
            #expect(early.selector.state == .stopped)
            try await scene.candidates { $0.count == 1 }
            try await leader.stop()
        }
    }

    @Test func `without the right to write the epoch a participant gives its place up, and stands again`()
        async throws
    {
        try await LeaderScene.with { scene in
            try await scene.other.create("/app")
            try await scene.other.create(LeaderScene.epochPath, acl: [.readUnsafe, .administered])
            var configuration = LeaderConfiguration()
            configuration.initialRetryDelay = .milliseconds(20)
            configuration.maximumRetryDelay = .milliseconds(100)
            let one = try scene.near("one", configuration)
            await one.state { $0.failure?.isUnauthorized == true }
            try await scene.other.setACL([.openUnsafe], at: LeaderScene.epochPath)
            try await one.leads()
            try await one.stop()
        }
    }

    @Test(arguments: [ProxiedRequest.Operation.getData, .multi])
    func `an answer that is lost on the way into office changes nothing`(operation: ProxiedRequest.Operation)
        async throws
    {
        try await LeaderScene.with(sessionTimeout: .seconds(10)) { scene in
            let one = try scene.far("one")
            let first = try await one.leads()
            let two = try scene.near("two")
            await two.waits()
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == operation }
            try await one.stop()
            let second = try await two.leads()
            #expect(second.fencingToken > first.fencingToken)
            #expect(try await scene.candidates().count == 1)
            try await two.stop()
        }
    }

    @Test func `when its client stops a participant ends with that error`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near()
            let term = try await leader.leads()
            scene.client.triggerGracefulShutdown()
            let error = await #expect(throws: ZooKeeperError.self) { try await leader.task.value }
            #expect(error?.code == .clientStopped)
            #expect(!term.isValid && leader.selector.state == .stopped)
            try await scene.candidates(where: \.isEmpty)
        }
    }

    @Test func `a stop without a connection does not wait for one`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(20)) { scene in
            let leader = try scene.near()
            try await leader.leads()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            try await leader.stop()
            #expect(try await scene.candidates().count == 1)
            await scene.proxy.accept()
            try await scene.candidates(where: \.isEmpty)
        }
    }

    /// Calls that wait for a session without a limit of their own.
    enum Waiting: CaseIterable { case election, leadership, changes, window, lock }

    @Test(arguments: Waiting.allCases)
    func `a client that finds no server in time ends what waits for it`(waiting: Waiting) async throws {
        // Nothing listens at the port.
        var configuration = try ZooKeeperClientConfiguration(connectionString: "127.0.0.1:1")
        configuration.initialConnectionTimeout = .milliseconds(300)
        let error = await #expect(throws: ZooKeeperError.self) {
            try await withZooKeeperClient(configuration: configuration) { client in
                switch waiting {
                case .election: try await LeaderSelector(client: client, path: "/e", id: "one") { _ in }.run()
                case .leadership: try await withLeadership(client: client, path: "/e", id: "one") { _ in }
                case .changes: for try await _ in LeaderSelector.leaderChanges(client: client, path: "/e") {}
                case .window: try await ExclusiveMode(client: client, path: "/m").withWindow(reason: "none") { _ in }
                case .lock: try await DistributedMutex(client: client, path: "/l").withLock { _ in }
                }
                throw ZooKeeperError(.clientStopped)
            }
        }
        #expect(error?.code == .operationTimeout)
        #expect(error?.message?.contains("127.0.0.1:1 within 0.3") == true)
    }
}

extension ACL {
    /// Everybody may set the list.
    static let administered = ACL(permissions: .admin, scheme: "world", id: "anyone")
}
