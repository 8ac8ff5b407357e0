import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator
import ZooKeeperTestKit

/// Nodes in processes of their own, which are frozen and killed.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PartitionProcessTests {
    private static let partitions = (0..<9).map { Partition("p\($0)") }

    /// The partitions that a node should own among others.
    private func own(_ node: String, of nodes: [String]) -> [String] {
        PartitionPlan(partitions: Self.partitions, nodes: nodes.map { PartitionNode($0) })
            .placements.filter { $0.owner == node }.map(\.partition.id)
    }

    private func withFleet(
        _ body: (PartitionFleet, ZooKeeperClient) async throws -> Void
    ) async throws -> [Violation] {
        var violations: [Violation] = []
        try await withTestServer { server in
            try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
                let list = Self.partitions.map(\.id).joined(separator: ",")
                let fleet = PartitionFleet(
                    .init(connectionString: server.connectionString, source: ["--partitions", list]))
                for name in ["web1", "web2", "web3"] { try fleet.start(name) }
                try await client.settled(Self.partitions, on: ["web1", "web2", "web3"])
                try await body(fleet, client)
                // A session's end, and time for machines that are busy.
                let bound = Duration.seconds(fleet.settings.sessionTimeout) * 2 + .seconds(10)
                violations = PartitionChecker(activeAgainWithin: bound).violations(in: try await fleet.finish())
            }
        }
        return violations
    }

    @Test func `what a killed node had is active again after its session, and home again when it is back`() async throws
    {
        let violations = try await withFleet { fleet, client in
            #expect(!own("web2", of: ["web1", "web2", "web3"]).isEmpty)
            try await fleet.crash("web2")
            try await client.settled(Self.partitions, on: ["web1", "web3"])
            try fleet.start("web2")
            try await client.settled(Self.partitions, on: ["web1", "web2", "web3"])
            // Killed and started again at once: its own earlier life is outwaited.
            try await fleet.crash("web3")
            try fleet.start("web3")
            // The znodes of the earlier life still exist.
            try await fleet.acts("web3")
            try await client.settled(Self.partitions, on: ["web1", "web2", "web3"])
        }
        #expect(violations.isEmpty)
    }

    @Test func `a node frozen beyond its session acts as valid no more, and gets its partitions back`() async throws {
        let violations = try await withFleet { fleet, client in
            let its = own("web1", of: ["web1", "web2", "web3"])
            let before = try await PartitionGroup.status(client: client, path: PartitionScene.path)
            try fleet.process(of: "web1").pause()
            try await client.settled(Self.partitions, on: ["web2", "web3"])
            try fleet.process(of: "web1").resume()
            try await client.settled(Self.partitions, on: ["web1", "web2", "web3"])
            let after = try await PartitionGroup.status(client: client, path: PartitionScene.path)
            let moved = zip(before.partitions, after.partitions).filter { $0.token != $1.token }.map(\.0.partition)
            #expect(!its.isEmpty && Set(moved) == Set(its))
        }
        #expect(violations.isEmpty)
    }

    @Test func `a node that is told to end leaves in order, and the status tells who has what`() async throws {
        let violations = try await withFleet { fleet, client in
            try await fleet.end("web1")
            try await client.settled(Self.partitions, on: ["web2", "web3"])
            let lines = try await program(
                "partitions", "status", PartitionScene.path, "--connect", fleet.settings.connectionString
            ).output()
            #expect(lines.first == "NODE   OWNS")
            #expect(lines.contains { $0.hasPrefix("web2 ") } && !lines.contains { $0.hasPrefix("web1 ") })
            let rows = lines.filter { $0.hasPrefix("p") }
            #expect(rows.count == 9 && rows.allSatisfy { $0.contains("by hash and weight, of 2 nodes") })
            for refused in [["run", "/app", "--id", "a"], ["run", "/", "--id", "a", "--partitions", "b"]] {
                let process = try TestProcess(
                    TestProcess.path(ofProduct: "zkrecipes"), arguments: ["partitions"] + refused)
                #expect(try await process.waitForExit() == .exited(64))
            }
        }
        #expect(violations.isEmpty)
    }
}
