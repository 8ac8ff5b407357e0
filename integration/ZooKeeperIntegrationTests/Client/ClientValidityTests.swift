import Testing
import ZooKeeper
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(4)))
struct ClientValidityTests {
    @Test func `what is held is valid, and lost at once when somebody deletes it`() async throws {
        try await ClientScene.with { scene in
            let hold = try await scene.hold("/own")
            #expect(hold.isValid)
            #expect(scene.client.isValid)
            try await scene.other.delete("/own")
            #expect(try await hold.waitForLoss() == .znodeDeleted)
            #expect(!hold.isValid)
        }
    }

    @Test func `reads do not move the deadline, writes do`() async throws {
        try await ClientScene.with(sessionTimeout: .seconds(20)) { scene in
            let session = try await scene.client.connectedSession()
            try await scene.client.create("/a")
            let first = session.validUntil
            for _ in 0..<100 { _ = try await scene.client.data(at: "/a") }
            #expect(session.validUntil == first)
            for _ in 0..<100 { try await scene.client.setData([1], at: "/a") }
            #expect(session.validUntil >= first)
            #expect(session.validUntil <= scene.client.clock.now + .seconds(19))
        }
    }

    @Test func `in a silent network the grant ends here before the server lets the znode go`() async throws {
        try await ClientScene.with { scene in
            let hold = try await scene.hold("/own")
            let deletion = try await scene.other.watchExistence(at: "/own").watch
            await scene.proxy.hold(.both)
            #expect(hold.isValid)
            let lost = Task { try await hold.waitForLoss() }
            #expect(try await deletion.event().kind == .deleted)
            #expect(!hold.isValid)
            #expect(try await lost.value == .deadlinePassed)
            await scene.proxy.release()
            await scene.client.wait { $0.session?.epoch == 2 && $0.isConnected }
        }
    }

    @Test func `a follower cut from its leader does not keep its client valid`() async throws {
        var configuration = TestServerConfiguration()
        configuration.tickTime = .milliseconds(1000)
        configuration.syncLimit = 12
        try await withTestEnsemble(members: 3, proxiedQuorum: true, configuration: configuration) { ensemble in
            let leader = try await ensemble.leader()
            let followers = await ensemble.followers()
            let settings = try ZooKeeperClientConfiguration(
                connectionString: followers[0].connectionString, sessionTimeout: .seconds(4))
            let others = try ZooKeeperClientConfiguration(connectionString: leader.connectionString)
            try await withZooKeeperClient(configuration: others) { other in
                try await withZooKeeperClient(configuration: settings) { client in
                    let session = try await client.connectedSession()
                    let node = try await session.send(.create(path: "/own", data: [], mode: .ephemeral)).created
                    let hold = session.hold(node.path, czxid: node.stat.czxid)
                    while !hold.isValid { _ = try await session.send(.multi([.check("/own")])) }
                    let deletion = try await other.watchExistence(at: "/own").watch
                    await ensemble.cut(between: followers[0], and: leader)
                    let lost = Task { try await hold.waitForLoss() }
                    let event = try await deletion.event()
                    let isStillValid = hold.isValid
                    #expect(event.kind == .deleted)
                    #expect(!isStillValid)
                    #expect(try await lost.value == .deadlinePassed)
                    await ensemble.heal()
                }
            }
        }
    }

    @Test func `an idle session sends one read in 0.3 T and no ping; one that holds a sync and a proof`() async throws {
        try await ClientScene.with(sessionTimeout: .seconds(4)) { scene in
            _ = try await scene.client.connectedSession()
            // A thread that is late by T/30 lets the C client send its ping; it is not late again and again.
            var idle: [ProxiedRequest.Operation] = []
            for _ in 0..<5 where idle.isEmpty || idle.contains(.ping) {
                idle = try await operations(of: scene, count: 6)
            }
            #expect(idle == Array(repeating: .exists, count: 6))
            let hold = try await scene.hold("/own")
            try await scene.proxy.nextRequest { $0.operation == .getData }
            // The first heartbeat may be under way.
            var heartbeats: [ProxiedRequest.Operation] = []
            for _ in 0..<5 where heartbeats.isEmpty || heartbeats.contains(.ping) {
                let holding = try await operations(of: scene, count: 8, heartbeats: 3)
                heartbeats = Array(holding.drop { $0 != .sync }.prefix(6))
            }
            #expect(heartbeats == [.sync, .multi, .sync, .multi, .sync, .multi])
            #expect(hold.isValid)
        }
    }

    /// The next operations on the wire, pings among them; about 0.3 T for each heartbeat says that nothing else was sent.
    private func operations(of scene: ClientScene, count: Int, heartbeats: Int? = nil) async throws -> [ProxiedRequest
        .Operation]
    {
        scene.proxy.clearRequests()
        let start = ContinuousClock.now
        var operations: [ProxiedRequest.Operation] = []
        for _ in 0..<count {
            operations.append(try await scene.proxy.nextRequest { _ in true }.operation)
        }
        #expect(ContinuousClock.now - start >= .seconds(4) * 0.25 * ((heartbeats ?? count) - 1))
        return operations
    }
}
