import Testing
import ZooKeeperTestKit

@Suite(.timeLimit(.minutes(5)))
struct TestEnsembleTests {
    @Test func `three members elect a leader and outlive it`() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        try await withTestEnsemble(members: 3, distinctAddresses: true) { ensemble in
            print("three members were ready after \(clock.now - start)")
            #expect(Set(ensemble.members.map(\.address)).count == 3)
            let leader = try await ensemble.leader()
            #expect(await ensemble.followers().count == 2)

            await leader.kill()
            let next = try await ensemble.leader()
            #expect(next !== leader)
            try await leader.restart()
            #expect(await leader.state() == .follower)
        }
    }

    @Test func `five members serve`() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        try await withTestEnsemble(members: 5, proxiedQuorum: true) { ensemble in
            print("five members with proxies were ready after \(clock.now - start)")
            _ = try await ensemble.leader()
            #expect(await ensemble.followers().count == 4)
            // Each pair of members has one connection for elections, each follower one to its leader: all by proxy.
            let pairs = ensemble.members.flatMap { one in ensemble.members.map { (one, $0) } }.filter { $0 !== $1 }
            let links = pairs.map { ensemble.link(from: $0, to: $1) }
            #expect(links.map(\.election.counters.openConnections).reduce(0, +) == 10)
            #expect(links.map(\.quorum.counters.openConnections).reduce(0, +) == 4)
        }
    }

    @Test func `an ensemble of six is refused`() async throws {
        let error = await #expect(throws: TestKitError.self) { try await withTestEnsemble(members: 6) { _ in } }
        #expect(error?.code == .misuse)
    }

    @Test func `a follower cut from its leader answers reads for a while, drops out, and heals`() async throws {
        try await withTestEnsemble(members: 3, proxiedQuorum: true) { ensemble in
            let leader = try await ensemble.leader()
            let follower = try #require(await ensemble.followers().first)
            let other = try #require(ensemble.members.first { $0 !== leader && $0 !== follower })
            let atFollower = try await RawClient.connect(to: follower)
            let atLeader = try await RawClient.connect(to: leader)
            #expect(try await atLeader.create("/before") == Answer.success)
            #expect(try await atFollower.sync() == Answer.success)

            await ensemble.cut(between: follower, and: leader)
            #expect(try await atLeader.create("/during") == Answer.success)
            // The follower knows nothing of it, and says so without hesitation.
            #expect(try await atFollower.exists("/before") == Answer.success)
            #expect(try await atFollower.exists("/during") == Answer.noNode)
            #expect(await follower.state() == .follower)

            try await waitUntil { await follower.state() == .notServing }
            #expect(await leader.state() == .leader)
            #expect(await other.state() == .follower)
            #expect(try await atLeader.create("/later") == Answer.success)

            await ensemble.heal()
            try await follower.waitUntilServing()
            let again = try await RawClient.connect(to: follower)
            #expect(try await again.sync() == Answer.success)
            #expect(try await again.exists("/later") == Answer.success)
        }
    }

    @Test func `a leader cut from all others goes on answering reads while they elect another`() async throws {
        var configuration = TestServerConfiguration()
        configuration.syncLimit = 300  // the old leader's patience must outlast the others' election
        try await withTestEnsemble(members: 3, proxiedQuorum: true, configuration: configuration) { ensemble in
            let old = try await ensemble.leader()
            let others = ensemble.members.filter { $0 !== old }
            let atOld = try await RawClient.connect(to: old)
            #expect(try await atOld.create("/before") == Answer.success)

            await ensemble.isolate(old)
            for other in others { await other.kill() }
            for other in others { try other.launch() }
            for other in others { try await other.waitUntilServing() }
            let atNew = try await RawClient.connect(to: others[0])
            #expect(try await atNew.create("/during") == Answer.success)
            #expect(await old.state() == .leader)
            #expect(try await atOld.exists("/before") == Answer.success)
            #expect(try await atOld.exists("/during") == Answer.noNode)

            await ensemble.heal()
            try await waitUntil { await old.state() == .follower }
            #expect(try await RawClient.connect(to: old).exists("/during") == Answer.success)
        }
    }
}

/// Waits for something that nobody announces; the suite's time limit ends it.
func waitUntil(_ condition: () async -> Bool) async throws {
    while await !condition() { try await Task.sleep(for: .milliseconds(20)) }
}
