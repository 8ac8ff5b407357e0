import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import ZooKeeperRecipes

/// The requests of a partition's moves between two nodes, the near one's counted; see ``RequestCountTests``.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct PartitionCountTests {
    private static let path = "/app/shards"
    private static let hot = Partition("hot", preferred: ["home", "next"])

    /// A node on a client of the scene.
    private struct Node {
        var group: PartitionGroup
        var running: Task<Void, any Error>

        @discardableResult
        func state(where matches: (PartitionGroupState) -> Bool) async -> PartitionGroupState {
            for await state in group.states where matches(state) { return state }
            return group.state
        }

        func leave() async throws {
            running.cancel()
            try await running.value
        }
    }

    /// Two nodes of which the second has just become next in line for the partition, or waits to get it back.
    private struct Pair {
        var asked: AskedRequests
        var home: Node
        var next: Node
        /// Has the home get ready, which it does not before.
        var isWarm: OneShot<Void>

        /// The home asks for its partition, and gets it.
        func comeHome() async {
            isWarm.set(())
            await home.state { $0.owned == ["hot"] && $0.isSettled }
            await next.state { $0.owned.isEmpty && $0.isSettled && $0.queued == ["hot"] }
        }
    }

    /// Runs a test where the node that is next owns the partition, and its home stands behind it and is not warm.
    private func with(homeIsNear: Bool, _ body: (Pair) async throws -> Void) async throws {
        try await AskedRequests.with { scene, asked in
            let (isWarming, isWarm) = (OneShot<Void>(), OneShot<Void>())
            let queue = PartitionGroup.queue(of: "hot", in: Self.path)
            try await scene.other.create(queue + "-requests", mode: .container, parents: true)
            let next = try Self.node("next", homeIsNear ? scene.other : scene.client) {}
            await next.state { $0.owned == ["hot"] }
            if !homeIsNear {
                // Its own znode is watched after a moment.
                try await scene.proxy.nextRequest {
                    $0.operation == .getData && $0.path?.hasPrefix(queue + "/") == true
                }
            }
            let home = try Self.node("home", homeIsNear ? scene.client : scene.other) {
                isWarming.set(())
                try await isWarm.wait()
            }
            // It stands behind the owner by then.
            try await isWarming.wait()
            try await asked.forget()
            try await body(Pair(asked: asked, home: home, next: next, isWarm: isWarm))
            isWarm.set(())
            for node in [home, next] { try await node.leave() }
        }
    }

    private static func node(
        _ name: String, _ client: ZooKeeperClient, warmUp: @escaping @Sendable () async throws -> Void
    ) throws -> Node {
        var configuration = PartitionGroup.Configuration()
        configuration.rebalanceDelay = .zero
        let group = try PartitionGroup(
            client: client, path: path, node: PartitionNode(name), partitions: .list([hot]),
            configuration: configuration, warmUp: { _ in try await warmUp() }
        ) { _, _ in try await OneShot<Void>().wait() }
        return Node(group: group, running: Task { try await group.run() })
    }

    @Test func `a move home, by the home`() async throws {
        try await with(homeIsNear: true) { pair in
            await pair.comeHome()
            let all = try await pair.asked.all(11, watchesHeld: false)
            // The epoch; the request, beside a read of the owner's znode; then as whoever comes by a transfer.
            #expect(all.starts(with: ["read", "multi"]) && all.suffix(2) == ["read", "multi"], "\(all)")
            #expect((11...17).contains(all.count) && all.count { $0 == "multi" } == 3, "\(all)")
        }
    }

    @Test func `a move home, by the owner, which stands as the next in line then`() async throws {
        try await with(homeIsNear: false) { pair in
            await pair.comeHome()
            let all = try await pair.asked.all(12, watchesHeld: false)
            // What is asked, and taken; the offer and its use; the end of the term. Then it stands again.
            let handOver = [
                "list", "read", "delete", "multi", "exists", "exists", "unwatch", "multi", "exists", "delete",
            ]
            #expect(all == handOver + ["create", "list"])
        }
    }

    @Test func `a leave in order, by the next in line`() async throws {
        try await with(homeIsNear: false) { pair in
            await pair.comeHome()
            try await pair.asked.forget()
            try await pair.home.leave()
            await pair.next.state { $0.owned == ["hot"] && $0.nodes.count == 1 }
            // The members are listed once, however many partitions there are.
            let all = try await pair.asked.all(4, watchesHeld: false)
            #expect((4...7).contains(all.count), "\(all)")
            #expect(all.count { $0 == "list" } == 2 && all.count { $0 == "multi" } == 1, "\(all)")
        }
    }

    @Test func `to stand as the next in line, while what is at home costs nothing`() async throws {
        try await with(homeIsNear: true) { pair in
            await pair.comeHome()
            try await pair.asked.forget()
            let other = Partition("other", preferred: ["next", "home"])
            try await pair.asked.scene.other.create(
                PartitionGroup.queue(of: "other", in: Self.path), mode: .container)
            try pair.next.group.setPartitions([Self.hot, other])
            await pair.next.state { $0.owned == ["other"] }
            #expect(try await pair.asked.all(0, watchesHeld: false) == [])
            try pair.home.group.setPartitions([Self.hot, other])
            // Beside them it watches the owner's znode and its own.
            await pair.home.state { $0.queued == ["hot", "other"] && $0.isSettled }
            #expect(try await pair.asked.all(2, watchesHeld: false) == ["create", "list"])
        }
    }

    @Test func `an operator's marks`() async throws {
        try await AskedRequests.with { scene, asked in
            try await scene.other.create("\(Self.path)/members", parents: true)
            try await scene.other.create("\(Self.path)/partitions")
            func cordon(_ node: String) async throws {
                try await PartitionGroup.cordon(node, client: scene.client, path: Self.path)
            }
            func uncordon(_ node: String) async throws -> Bool {
                try await PartitionGroup.uncordon(node, client: scene.client, path: Self.path)
            }
            try await asked.forget()
            try await cordon("web1")
            #expect(try await asked.all(4) == ["list", "create", "create", "create"])
            try await cordon("web2")
            #expect(try await asked.all(2) == ["list", "create"])
            try await cordon("web2")
            #expect(try await asked.all(3) == ["list", "create", "write"])
            #expect(try await uncordon("web2"))
            #expect(try await asked.all(2) == ["list", "delete"])
            #expect(try await !uncordon("web2"))
            #expect(try await asked.all(2) == ["list", "delete"])
        }
    }
}
