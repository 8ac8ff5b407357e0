import Testing
import ZooKeeper
import ZooKeeperTestKit

@testable import ZooKeeperRecipes

/// Many partitions; `Benchmarks` measures more of them.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PartitionScaleTests {
    @Test func `a node owns 1,000 partitions, keeps them through a lost connection, and leaves them all`() async throws
    {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(1_000)
            let proxy = try FaultProxy(to: scene.server)
            let node = try scene.node(
                "web1", .list(partitions), at: proxy.connectionString, session: .seconds(30))
            await [node].settle(partitions)
            await node.state { $0.owned.count == 1_000 }
            let before = [node].tokens
            #expect(before.count == 1_000)
            let connections = proxy.counters.connections
            await proxy.cut()
            try await proxy.waitUntil { $0.connections > connections }
            // A write that a quorum commits, on the new connection: what the node owns is proved there.
            try await node.client.create("/app/marker")
            #expect([node].tokens == before)
            let status = try await scene.status()
            #expect(status.balance == ["web1": 1_000] && status.partitions.allSatisfy { $0.token != nil })
            try await node.stop()
            await proxy.close()
            let after = try await scene.status()
            #expect(after.partitions.count == 1_000 && after.partitions.allSatisfy { $0.owner == nil })
            #expect(scene.violations().isEmpty)
        }
    }
}
