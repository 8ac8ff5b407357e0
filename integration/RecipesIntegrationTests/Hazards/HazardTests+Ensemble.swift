import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Servers of an ensemble that lose one another, or lag behind.
extension HazardTests {
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
