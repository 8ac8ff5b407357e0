import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperTestKit

@testable import ZooKeeperRecipes

/// Groups without faults.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PartitionGroupTests {
    @Test func `each partition is active where the plan says, and two nodes stand in its queue`() async throws {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(16)
            let nodes = try ["web1", "web2", "web3"].map { try scene.node(PartitionNode($0), .list(partitions)) }
            await nodes.settle(partitions)
            let plan = PartitionPlan(partitions: partitions, nodes: ["web1", "web2", "web3"])
            #expect(
                nodes.owners == Dictionary(uniqueKeysWithValues: plan.placements.map { ($0.partition.id, [$0.owner!]) })
            )
            for place in plan.placements {
                let queue = PartitionGroup.queue(of: place.partition.id, in: PartitionScene.path)
                let standing = try await LeaderSelector.participants(client: nodes[0].client, path: queue)
                #expect(standing.first?.id == place.owner)
                #expect(nodes[0].group.explain(place.partition.id) == place.description)
            }
            let status = try await scene.status()
            #expect(status.partitions.map(\.owner) == plan.placements.map(\.owner))
            let tokens = nodes.tokens
            #expect(status.partitions.allSatisfy { $0.token == tokens[$0.partition] && $0.token != nil })
            #expect(status.balance == plan.balance && status.nodes.map(\.id) == ["web1", "web2", "web3"])
            try await nodes.stop()
            #expect(scene.violations().isEmpty)
            #expect(try await scene.status().partitions.allSatisfy { $0.owner == nil })
        }
    }

    @Test func `who leaves in order is followed by the next in line, and nothing else moves; who returns gets it back`()
        async throws
    {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(24)
            var nodes = try ["web1", "web2", "web3", "web4"].map {
                try scene.node(PartitionNode($0), .list(partitions))
            }
            await nodes.settle(partitions)
            let (before, owners) = (nodes.tokens, nodes.owners)
            let leaving = nodes.removeFirst()
            let its = Set(leaving.group.state.owned)
            try await leaving.stop()
            await nodes.settle(partitions)
            let during = nodes.tokens
            #expect(Set(during.filter { before[$0.key] != $0.value }.keys) == its && !its.isEmpty)
            #expect(nodes[0].group.state.absent == ["web1"])
            nodes.append(try scene.node("web1", .list(partitions)))
            await nodes.settle(partitions)
            #expect(nodes.owners == owners)
            #expect(Set(nodes.tokens.filter { during[$0.key] != $0.value }.keys) == its)
            #expect(nodes[3].group.state.moves.gained == its.count)
            try await nodes.stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `the owner goes on until the node that should have it has warmed up`() async throws {
        try await PartitionScene.with { scene in
            let partitions = [Partition("hot", preferred: ["web2", "web1"])]
            let (isWarming, isWarm) = (OneShot<Void>(), OneShot<Void>())
            let first = try scene.node("web1", .list(partitions))
            await first.state { $0.owned == ["hot"] }
            let term = try #require(first.group.term(of: "hot"))
            let second = try scene.node(
                "web2", .list(partitions),
                warmUp: { partition in
                    #expect(partition.id == "hot")
                    isWarming.set(())
                    try await isWarm.wait()
                })
            try await isWarming.wait()
            #expect(term.isValid && second.group.state.pending == ["hot"])
            isWarm.set(())
            await [first, second].settle(partitions)
            let next = try #require(second.group.term(of: "hot"))
            #expect(!term.isValid && next.fencingToken > term.fencingToken)
            try await [first, second].stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `partitions come and go while all runs, and the others are not disturbed`() async throws {
        try await PartitionScene.with { scene in
            let all = PartitionScene.partitions(12)
            let nodes = try ["web1", "web2", "web3"].map {
                try scene.node(PartitionNode($0), .list(Array(all.prefix(8))))
            }
            await nodes.settle(Array(all.prefix(8)))
            let before = nodes.tokens
            for node in nodes { try node.group.setPartitions(Array(all.dropFirst(4))) }
            await nodes.settle(Array(all.dropFirst(4)))
            let after = nodes.tokens
            #expect(Set(after.keys) == Set(all.dropFirst(4).map(\.id)))
            for partition in all[4..<8] { #expect(before[partition.id] == after[partition.id]) }
            for node in nodes { try node.group.setPartitions(all) }
            await nodes.settle(all)
            for partition in all[0..<4] { #expect(nodes.tokens[partition.id]! > before[partition.id]!) }
            #expect(throws: RecipeError.self) { try nodes[0].group.setPartitions(["a-epoch"]) }
            try await nodes.stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `the children of a znode are the partitions, with the nodes that they prefer`() async throws {
        try await PartitionScene.with { scene in
            try await withZooKeeperClient(configuration: .init(connectionString: scene.server.connectionString)) {
                client in
                let nodes = try ["web1", "web2"].map {
                    try scene.node(PartitionNode($0), .children(of: "/app/tenants"))
                }
                await nodes.settle([])
                let one = Partition("one", preferred: ["web1"])
                try await client.create("/app/tenants/one", data: one.nodeData, parents: true)
                await nodes.settle([one])
                #expect(nodes.owners == ["one": ["web1"]])
                // An administrator moves it.
                try await client.setData(Partition("one", preferred: ["web2"]).nodeData, at: "/app/tenants/one")
                await nodes[1].state { $0.owned == ["one"] }
                await nodes.settle([one])
                let two = Partition("two")
                try await client.create("/app/tenants/two")
                await nodes.settle([one, two])
                try await client.delete("/app/tenants/one")
                await nodes.settle([two])
                #expect(throws: RecipeError.self) { try nodes[0].group.setPartitions([two]) }
                let status = try await scene.status(.children(of: "/app/tenants"))
                #expect(status.partitions.map(\.partition) == ["two"])
                try await nodes.stop()
            }
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `a node that is drained owns nothing, one partition after the other, and gets all back`() async throws {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(18)
            let nodes = try ["web1", "web2", "web3"].map { try scene.node(PartitionNode($0), .list(partitions)) }
            await nodes.settle(partitions)
            let owners = nodes.owners
            try await nodes[2].group.drain()
            #expect(nodes[2].group.state.owned.isEmpty)
            await nodes.settle(partitions)
            #expect(nodes.owners.values.allSatisfy { $0.count == 1 } && nodes.owners.count == 18)
            #expect(nodes[0].group.state.nodes[2].isCordoned)
            nodes[2].group.uncordon()
            await nodes[2].state {
                !$0.isCordoned && $0.owned == owners.keys.filter { owners[$0] == ["web3"] }.sorted()
            }
            await nodes.settle(partitions)
            #expect(nodes.owners == owners)
            try await nodes.stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `capacities and weights are kept, and change while all runs`() async throws {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(20)
            let nodes = try [PartitionNode("web1", capacity: 5), "web2", PartitionNode("web3", weight: 2)]
                .map { try scene.node($0, .list(partitions)) }
            await nodes.settle(partitions)
            #expect(nodes[0].group.state.owned.count <= 5)
            try nodes[0].group.setWeight(1, capacity: 1)
            await nodes[0].state { $0.owned.count <= 1 }
            for node in nodes { await node.state { $0.nodes[0].capacity == 1 && $0.isSettled } }
            #expect(nodes.owners.count == 20 && nodes.owners.values.allSatisfy { $0.count == 1 })
            #expect(throws: RecipeError.self) { try nodes[0].group.setWeight(0) }
            try await nodes.stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `a worker that throws gives its partition to the next in line, and another node's name is refused`()
        async throws
    {
        try await PartitionScene.with { scene in
            struct Broken: Error {}
            let partitions = [Partition("a", preferred: ["web1", "web2"])]
            let breaks = OneShot<Void>()
            let second = try scene.node("web2", .list(partitions), change: { $0.rebalanceDelay = .seconds(3600) })
            await second.state { $0.owned == ["a"] }
            let first = try scene.node(
                "web1", .list(partitions),
                worker: { _, term in
                    guard term.number == 1 else { return try await OneShot<Void>().wait() }
                    try await breaks.wait()
                    throw Broken()
                })
            await first.state { $0.owned == ["a"] }
            breaks.set(())
            await second.state { $0.owned == ["a"] && $0.moves.gained == 2 }
            // After its pause it asks again.
            await first.state { $0.owned == ["a"] && $0.moves.gained == 2 }
            let twin = try scene.node("web1", .list(partitions), session: .seconds(4))
            let error = await #expect(throws: RecipeError.self) { try await twin.running.value }
            #expect(error?.code == .duplicate)
            twin.connection.cancel()
            try await twin.connection.value
            #expect(first.group.state.owned == ["a"])
            try await [first, second].stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `a graceful shutdown gives everything up in order, and a group is run once`() async throws {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(6)
            let other = try scene.node("web2", .list(partitions))
            await [other].settle(partitions)
            let client = try ZooKeeperClient(configuration: .init(connectionString: scene.server.connectionString))
            var configuration = PartitionGroup.Configuration()
            configuration.rebalanceDelay = .zero
            let notes = Notes()
            let node = try PartitionGroup(
                client: client, path: PartitionScene.path, node: "web1", partitions: .list(partitions),
                configuration: configuration
            ) { partition, _ in
                try? await OneShot<Void>().wait()
                notes.add(partition.id)
            }
            let services = ServiceGroup(services: [client, node], logger: Logger(label: "test"))
            let running = Task { try await services.run() }
            for await state in node.states where state.isSettled && state.nodes.count == 2 { break }
            let owned = node.state.owned
            await services.triggerGracefulShutdown()
            try await running.value
            #expect(!owned.isEmpty && notes.all.sorted() == owned)
            await other.state { $0.owned.count == 6 }
            #expect(node.state.owned.isEmpty)
            await #expect(throws: RecipeError.self) { try await node.run() }
            try await other.stop()
        }
    }

    @Test func `20 nodes restarted one after another: each partition moves away once and home once`() async throws {
        try await PartitionScene.with { scene in
            let partitions = PartitionScene.partitions(60)
            var nodes: [GroupNode] = []
            for index in 0..<20 {
                nodes.append(try scene.node(PartitionNode("web\(index)"), .list(partitions), session: .seconds(20)))
            }
            await nodes.settle(partitions)
            let owners = nodes.owners
            let before = try await scene.status().terms
            for index in nodes.indices {
                let node = nodes.remove(at: 0)
                try await node.stop()
                // Elsewhere before it is back: that is the dearest restart there is.
                await nodes.settle(partitions)
                nodes.append(try scene.node(PartitionNode("web\(index)"), .list(partitions), session: .seconds(20)))
                await nodes.settle(partitions)
            }
            #expect(nodes.owners == owners)
            #expect(try await scene.status().terms - before == 2 * partitions.count)
            try await nodes.stop()
            #expect(scene.violations().isEmpty)
        }
    }

    @Test func `what cannot be is refused before anything is sent`() throws {
        let client = try ZooKeeperClient(configuration: .init(connectionString: "127.0.0.1:1"))
        func make(
            _ path: String = "/app", _ node: PartitionNode = "a", _ partitions: PartitionSource = ["b"],
            _ configuration: PartitionGroup.Configuration = .init()
        ) throws {
            _ = try PartitionGroup(
                client: client, path: path, node: node, partitions: partitions, configuration: configuration
            ) { _, _ in }
        }
        try make()
        #expect(throws: RecipeError.self) { try make("/") }
        #expect(throws: ZooKeeperError.self) { try make("app") }
        #expect(throws: RecipeError.self) { try make("/app", "a/b") }
        #expect(throws: RecipeError.self) { try make("/app", PartitionNode("a", weight: 0)) }
        #expect(throws: RecipeError.self) { try make("/app", "a", ["b-requests"]) }
        #expect(throws: ZooKeeperError.self) { try make("/app", "a", .children(of: "b")) }
        try make("/app", "a", .children(of: "/app/list"))
        for own in ["/app", "/app/members", "/app/partitions", "/app/cordons"] {
            #expect(throws: RecipeError.self) { try make("/app", "a", .children(of: own)) }
        }
        var configuration = PartitionGroup.Configuration()
        configuration.maximumMovesPerMinute = 0
        #expect(throws: RecipeError.self) { try make("/app", "a", ["b"], configuration) }
        configuration.maximumMovesPerMinute = 1
        configuration.watchBudget = 0
        #expect(throws: RecipeError.self) { try make("/app", "a", ["b"], configuration) }
        configuration.watchBudget = 1
        configuration.leadership.maximumRetryDelay = .zero
        #expect(throws: RecipeError.self) { try make("/app", "a", ["b"], configuration) }
    }
}
