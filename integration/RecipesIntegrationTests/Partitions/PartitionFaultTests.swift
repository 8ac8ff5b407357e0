import Testing
import ZooKeeper
import ZooKeeperTestKit

@testable import ZooKeeperRecipes

/// Groups through lost connections, lost sessions and lost znodes.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PartitionFaultTests {
    private static let partitions = PartitionScene.partitions(12, "f")

    /// Three nodes that have settled: the first behind a proxy.
    private func withGroup(
        session: Duration = .seconds(6),
        _ body: @escaping @Sendable (PartitionScene, FaultProxy, [GroupNode]) async throws -> Void
    ) async throws {
        try await PartitionScene.with { scene in
            let proxy = try FaultProxy(to: scene.server)
            let partitions = PartitionSource.list(Self.partitions)
            let near = try scene.node("near", partitions, at: proxy.connectionString, session: session)
            let nodes =
                [near] + (try ["far1", "far2"].map { try scene.node(PartitionNode($0), partitions, session: session) })
            await nodes.settle(Self.partitions)
            #expect(!near.group.state.owned.isEmpty)
            try await body(scene, proxy, nodes)
            try await nodes.stop()
            await proxy.close()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `a connection that is lost and found again moves nothing`() async throws {
        try await withGroup(session: .seconds(20)) { _, proxy, nodes in
            let before = nodes.tokens
            await proxy.refuse()
            await proxy.cut()
            await nodes[0].client.state { $0.isSuspended }
            await proxy.accept()
            await nodes[0].client.state { $0.isConnected }
            await nodes.settle(Self.partitions)
            #expect(nodes.tokens == before)
        }
    }

    @Test func `a server that restarts moves nothing`() async throws {
        try await withGroup(session: .seconds(30)) { scene, _, nodes in
            let before = nodes.tokens
            await scene.server.kill()
            for node in nodes { await node.client.state { $0.isSuspended } }
            try await scene.server.start()
            for node in nodes { await node.client.state { $0.isConnected } }
            await nodes.settle(Self.partitions)
            #expect(nodes.tokens == before)
        }
    }

    @Test func `what is owned in a session that expires goes on elsewhere, and comes home in the next session`()
        async throws
    {
        try await withGroup { scene, _, nodes in
            let (owners, before) = (nodes.owners, nodes.tokens)
            let began = nodes[0].group.state.moves.gained
            let terms = nodes[0].group.state.owned.compactMap { nodes[0].group.term(of: $0) }
            try await scene.server.expireSession(of: nodes[0].client)
            for term in terms { _ = try await term.waitUntilLost() }
            await nodes[0].client.state { $0.isConnected }
            await nodes[0].state { $0.moves.gained >= began + terms.count && $0.isSettled }
            await nodes.settle(Self.partitions)
            #expect(nodes.owners == owners)
            #expect(terms.allSatisfy { !$0.isValid })
            let moved = Set(nodes.tokens.filter { before[$0.key] != $0.value }.keys)
            #expect(moved == Set(owners.filter { $0.value == ["near"] }.keys))
        }
    }

    @Test func `a partition whose owner's candidate is deleted comes home again`() async throws {
        try await withGroup { _, _, nodes in
            let id = nodes[0].group.state.owned[0]
            let term = try #require(nodes[0].group.term(of: id))
            try await nodes[1].client.delete(term.held.path)
            #expect(try await term.waitUntilLost() == .znodeDeleted)
            await nodes[0].state { _ in nodes[0].group.term(of: id).map { $0 !== term } ?? false }
            await nodes.settle(Self.partitions)
            let next = try #require(nodes[0].group.term(of: id))
            #expect(next.fencingToken > term.fencingToken)
        }
    }

    @Test func `who asks with a candidate that is deleted asks again with its next one`() async throws {
        try await PartitionScene.with { scene in
            let partitions = [Partition("hot", preferred: ["near", "far"])]
            let isWarm = OneShot<Void>()
            let far = try scene.node("far", .list(partitions))
            await far.state { $0.owned == ["hot"] }
            let near = try scene.node("near", .list(partitions), warmUp: { _ in try await isWarm.wait() })
            let queue = PartitionGroup.queue(of: "hot", in: PartitionScene.path)
            while true {
                let (names, _, watch) = try await far.client.watchChildren(of: queue)
                if names.count == 2 { break }
                _ = try await watch.event()
            }
            let waiting = try await LeaderSelector.participants(client: far.client, path: queue)[1]
            #expect(waiting.id == "near")
            try await far.client.delete("\(queue)/\(waiting.znode)")
            isWarm.set(())
            await [near, far].settle(partitions)
            #expect([near, far].owners == ["hot": ["near"]])
            try await [near, far].stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `a node whose member znode is deleted is in the group again at once`() async throws {
        try await withGroup { _, _, nodes in
            let owners = nodes.owners
            try await nodes[1].client.delete("\(PartitionScene.path)/members/near")
            await nodes.settle(Self.partitions)
            #expect(nodes.owners == owners)
        }
    }

    @Test func `cancelled before there is a server, a node ends`() async throws {
        let client = try ZooKeeperClient(configuration: .init(connectionString: "127.0.0.1:1"))
        let group = try PartitionGroup(
            client: client, path: PartitionScene.path, node: "early", partitions: ["a"]
        ) { _, _ in
        }
        let node = GroupNode(client: client, group: group)
        try await node.stop()
        #expect(group.state.owned.isEmpty && group.state.plan == nil)
        await #expect(throws: RecipeError.self) { try await group.drain() }
    }

    @Test func `a node whose client stops ends with that error`() async throws {
        try await PartitionScene.with { scene in
            let node = try scene.node("web1", .list(Self.partitions))
            await [node].settle(Self.partitions)
            node.client.triggerGracefulShutdown()
            let error = await #expect(throws: ZooKeeperError.self) { try await node.running.value }
            #expect(error?.code == .clientStopped)
            #expect(node.group.state.owned.isEmpty)
        }
    }
}
