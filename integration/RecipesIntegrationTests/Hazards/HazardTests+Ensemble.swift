import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Servers of an ensemble that lose one another, or lag behind.
extension HazardTests {
    @Test func `H02 a create that is proposed and not yet committed is waited for, not repeated`() async throws {
        var configuration = TestServerConfiguration()
        configuration.syncLimit = 40
        try await withTestEnsemble(members: 5, proxiedQuorum: true, configuration: configuration) { ensemble in
            let leader = try await ensemble.leader()
            let followers = await ensemble.followers()
            let (near, next) = (try FaultProxy(to: followers[0]), try FaultProxy(to: followers[1]))
            let client = try makeTestClient(near.connectionString, sessionTimeout: .seconds(20))
            let running = Task { try await client.run() }
            let lock = try DistributedReadWriteLock(client: client, path: "/lock")
            try await lock.withWriteLock { _ in }
            let observer = try makeTestClient(followers[1].connectionString, sessionTimeout: .seconds(20))
            let observing = Task { try await observer.run() }
            #expect(try await observer.exists(at: "/lock") != nil)

            // The leader gets two votes of five, its own and that of the next server; the near one hears of nothing.
            await ensemble.link(from: followers[0], to: leader).quorum.hold(.toClient)
            for voter in followers[2...] { await ensemble.link(from: voter, to: leader).quorum.hold(.toServer) }
            let proposals = try await leader.counters()["zk_proposal_count"] ?? 0
            near.clearRequests()
            let holder = Holder.writes(lock)
            try await near.nextRequest { $0.operation == .createWithStat }
            while try await leader.counters()["zk_proposal_count"] ?? 0 <= proposals { await Task.yield() }

            // The client moves to a server that has voted for the znode, and does not show it.
            #expect(try await observer.children(of: "/lock").names.isEmpty)
            try client.updateServers([ServerAddress(host: next.address, port: next.port)])
            try await next.nextRequest { $0.isListing && $0.path == "/lock" }
            #expect(try await observer.children(of: "/lock").names.isEmpty)
            #expect(!holder.isGranted)
            await ensemble.heal()
            let lease = try await holder.lease
            let names = try await client.children(of: "/lock").names
            #expect(names.count == 1)
            // One for the first lock, and one for this: it was never made again.
            #expect(try await client.creations(below: "/lock") == 2)
            #expect(try await client.exists(at: "/lock/\(names[0])")?.czxid.rawValue == lease.fencingToken.rawValue)
            try await holder.finish()
            #expect(try await client.children(of: "/lock").names.isEmpty)
            for task in [running, observing] {
                task.cancel()
                try await task.value
            }
            await near.close()
            await next.close()
        }
    }

    @Test func `H43 whoever is granted a lock by a server that lags reads what the last holder wrote`() async throws {
        var configuration = TestServerConfiguration()
        configuration.syncLimit = 40
        try await withTestEnsemble(members: 3, proxiedQuorum: true, configuration: configuration) { ensemble in
            let leader = try await ensemble.leader()
            let follower = try #require(await ensemble.followers().first)
            let first = try makeTestClient(leader.connectionString, sessionTimeout: .seconds(20))
            let second = try makeTestClient(follower.connectionString, sessionTimeout: .seconds(20))
            let running = [first, second].map { client in Task { try await client.run() } }
            try await first.create("/value", data: [1])
            try await second.sync("/value")
            let holder = Holder.writes(try DistributedReadWriteLock(client: first, path: "/lock"))
            _ = try await holder.lease
            let waiter = Holder.writes(try DistributedReadWriteLock(client: second, path: "/lock"))
            while try await first.children(of: "/lock").names.count < 2 { await Task.yield() }
            _ = try await second.exists(at: "/lock")

            await ensemble.link(from: follower, to: leader).quorum.hold(.toClient)
            try await first.setData([2], at: "/value")
            try await holder.finish()
            #expect(try await second.data(at: "/value").data == [1])
            #expect(!waiter.isGranted)
            await ensemble.heal()
            // A server shows the end of a lock no earlier than what its holder wrote before: no `sync` is needed.
            _ = try await waiter.lease
            #expect(try await second.data(at: "/value").data == [2])
            try await waiter.finish()
            for task in running {
                task.cancel()
                try await task.value
            }
        }
    }

    @Test func `H64 a gate on a follower that lost its leader closes before a window can run`() async throws {
        try await withTestEnsemble(members: 3, proxiedQuorum: true) { ensemble in
            let leader = try await ensemble.leader()
            let follower = try #require(await ensemble.followers().first)
            try await TestServer.$currentServer.withValue(follower) {
                try await ExclusiveScene.with { scene in
                    let one = try await scene.processor("cut off", timeout: .seconds(3))
                    let other = try await scene.windowOperator(at: leader)
                    let token = await one.awaitOpen()
                    await ensemble.cut(between: follower, and: leader)
                    let permit = try await one.gate.enter()
                    let body = try await other.window { window in
                        #expect(!permit.isValid)
                        return window.fencingToken
                    }
                    // The follower still answers: only a write that the quorum commits would have been a proof.
                    #expect(one.history.contains(.lost(.deadlinePassed)))
                    #expect(permit.fencingToken < body)
                    permit.leave()
                    await ensemble.heal()
                    await one.awaitOpen(after: token)
                }
            }
        }
    }
}
