import Testing
import ZooKeeper
import ZooKeeperTestKit

@testable import ZooKeeperRecipes

/// Nodes that an operator has cordoned.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PartitionCordonTests {
    private static let path = PartitionScene.path
    private static let partitions = PartitionScene.partitions(12, "o")

    /// Three nodes that have settled, and an operator.
    private func withGroup(
        _ body: @escaping @Sendable (PartitionScene, [GroupNode], ZooKeeperClient) async throws -> [GroupNode]
    ) async throws {
        try await PartitionScene.with { scene in
            let address = scene.server.connectionString
            try await withZooKeeperClient(configuration: .init(connectionString: address)) { client in
                let nodes = try ["web1", "web2", "web3"].map {
                    try scene.node(PartitionNode($0), .list(Self.partitions))
                }
                await nodes.settle(Self.partitions)
                try await body(scene, nodes, client).stop()
            }
            #expect(scene.violations().isEmpty)
        }
    }

    /// Waits until each node has heard what operators say, and has what it should.
    private func settle(_ nodes: [GroupNode], cordoned: Set<String>) async {
        for node in nodes {
            await node.state { state in
                state.isSettled && Set(state.nodes.filter(\.isCordonedByOperator).map(\.id)) == cordoned
            }
        }
    }

    @Test func `a cordoned node owns nothing, also after its restart, until it is uncordoned`() async throws {
        try await withGroup { scene, nodes, client in
            let owners = nodes.owners
            try await PartitionGroup.cordon("web2", client: client, path: Self.path, reason: "a disk fails")
            await settle(nodes, cordoned: ["web2"])
            #expect(nodes[1].group.state.owned.isEmpty && nodes[1].group.state.isCordoned)
            #expect(nodes.owners.count == 12 && nodes.owners.values.allSatisfy { $0.count == 1 })
            // Nothing that was not its own has moved.
            #expect(nodes.owners.allSatisfy { owners[$0] == $1 || owners[$0] == ["web2"] })
            let status = try await scene.status()
            #expect(status.cordons == ["web2": "a disk fails"] && status.balance["web2"] == 0)
            #expect(status.nodes.map(\.isCordonedByOperator) == [false, true, false])
            #expect(status.nodes.allSatisfy { !$0.isCordoned })

            try await nodes[1].stop()
            let again = try scene.node("web2", .list(Self.partitions))
            let all = [nodes[0], again, nodes[2]]
            await settle(all, cordoned: ["web2"])
            #expect(again.group.state.moves.gained == 0 && again.group.state.queued.isEmpty)
            // It cannot take the operator's mark off itself.
            again.group.cordon()
            again.group.uncordon()
            #expect(try await PartitionGroup.uncordon("web2", client: client, path: Self.path))
            await settle(all, cordoned: [])
            #expect(all.owners == owners)
            return all
        }
    }

    @Test func `who is cordoned by itself as well takes part when both marks have gone`() async throws {
        try await withGroup { _, nodes, client in
            let owners = nodes.owners
            try await nodes[0].group.drain()
            try await PartitionGroup.cordon("web1", client: client, path: Self.path)
            await settle(nodes, cordoned: ["web1"])
            nodes[0].group.uncordon()
            await nodes[1].state { !$0.nodes[0].isCordoned }
            #expect(nodes[0].group.state.isCordoned && nodes[0].group.state.owned.isEmpty)
            #expect(try await PartitionGroup.uncordon("web1", client: client, path: Self.path))
            await settle(nodes, cordoned: [])
            #expect(nodes.owners == owners)
            return nodes
        }
    }

    @Test func `a mark is set and taken off once, the newest note counts, and what cannot be is refused by name`()
        async throws
    {
        try await withGroup { scene, nodes, client in
            try await PartitionGroup.cordon("web9", client: client, path: Self.path, reason: "first")
            try await PartitionGroup.cordon("web9", client: client, path: Self.path, reason: "two\nlines")
            #expect(try await scene.status().cordons == ["web9": "two\nlines"])
            #expect(try await PartitionGroup.uncordon("web9", client: client, path: Self.path))
            #expect(try await PartitionGroup.uncordon("web9", client: client, path: Self.path) == false)
            #expect(try await scene.status().cordons.isEmpty)
            for (node, path, code) in [
                ("a/b", Self.path, RecipeError.Code.invalidArgument), ("a", "/", .invalidArgument),
                ("a", "/app/nobody", .notFound),
            ] {
                for change in [Self.cordon, Self.uncordon] {
                    let error = await #expect(throws: RecipeError.self) { try await change(node, path, client) }
                    #expect(error?.code == code && error?.path == path)
                    if path == Self.path { #expect(error?.message?.contains("\"a/b\"") == true) }
                }
            }
            await #expect(throws: ZooKeeperError.self) { try await Self.cordon("a", "app", client) }
            #expect(try await client.exists(at: "/app/nobody") == nil)
            return nodes
        }
    }

    @Sendable private static func cordon(_ node: String, _ path: String, _ client: ZooKeeperClient) async throws {
        try await PartitionGroup.cordon(node, client: client, path: path)
    }

    @Sendable private static func uncordon(_ node: String, _ path: String, _ client: ZooKeeperClient) async throws {
        try await PartitionGroup.uncordon(node, client: client, path: path)
    }

    @Test func `the program cordons, tells who is, and uncordons`() async throws {
        try await withGroup { scene, nodes, _ in
            let address = scene.server.connectionString
            func run(_ arguments: String...) async throws -> [String] {
                let process = try TestProcess(
                    TestProcess.path(ofProduct: "zkrecipes"),
                    arguments: ["partitions"] + arguments + ["--connect", address])
                #expect(try await process.waitForExit() == .exited(0))
                return try await process.output()
            }
            #expect(try await run("cordon", Self.path, "web3", "--reason", "a disk fails") == ["web3 is cordoned"])
            let absent = try await run("cordon", Self.path, "web9")
            #expect(absent == ["web9 is cordoned; it is not in the group now"])
            await settle(nodes, cordoned: ["web3"])
            let lines = try await run("status", Self.path)
            #expect(lines.contains { $0.hasPrefix("web3 ") && $0.hasSuffix("cordoned by an operator: a disk fails") })
            #expect(lines.contains { $0.hasPrefix("web9 ") && $0.hasSuffix("not a member, cordoned by an operator") })
            #expect(try await run("uncordon", Self.path, "web3") == ["web3 is uncordoned"])
            #expect(try await run("uncordon", Self.path, "web3") == ["web3 was not cordoned by an operator"])
            await settle(nodes, cordoned: [])
            for refused in [[Self.path, "a/b"], ["/app/nobody", "web3"], ["/", "web3"], [Self.path]] {
                let process = try TestProcess(
                    TestProcess.path(ofProduct: "zkrecipes"),
                    arguments: ["partitions", "cordon"] + refused + ["--connect", address])
                let status = try await process.waitForExit()
                #expect(status == .exited(1) || status == .exited(64))
            }
            return nodes
        }
    }
}
