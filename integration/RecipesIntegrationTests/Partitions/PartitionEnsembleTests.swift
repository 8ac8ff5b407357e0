import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Nodes in processes of their own, on an ensemble that loses its leader while nodes come and go.
@Suite(.ensemble(members: 3), .serialized, .timeLimit(.minutes(5)))
struct PartitionEnsembleTests {
    private static let all = ["web1", "web2", "web3"]

    private var ensemble: TestEnsemble { .current }

    /// Runs a test with a group that has settled, and judges what its workers wrote down.
    ///
    /// - Parameter removed: Partitions that the test takes away, which nobody owns then.
    private func withFleet(
        at path: String, _ partitions: [Partition], on nodes: [String] = all, removed: [Partition] = [],
        _ body: (PartitionFleet, ZooKeeperClient) async throws -> Void
    ) async throws {
        try await ensemble.waitUntilServing()
        let configuration = try ZooKeeperClientConfiguration(
            connectionString: ensemble.connectionString, sessionTimeout: .seconds(20))
        try await withZooKeeperClient(configuration: configuration) { client in
            let source = path + "-tenants"
            for partition in partitions { try await client.create("\(source)/\(partition)", parents: true) }
            let fleet = PartitionFleet(
                .init(
                    connectionString: ensemble.connectionString, path: path, source: ["--from", source],
                    sessionTimeout: 4))
            for node in nodes { try fleet.start(node) }
            try await client.settled(partitions, on: nodes, at: path)
            try await body(fleet, client)
            let history = try await fleet.finish()
            // A session's end, that of an ensemble without a leader, and time for machines that are busy.
            let bound = Duration.seconds(fleet.settings.sessionTimeout) * 2 + .seconds(20)
            let gone = Set(removed.map(\.id))
            let (kept, others) = (history.about { !gone.contains($0) }, history.about { gone.contains($0) })
            #expect(PartitionChecker(activeAgainWithin: bound).violations(in: kept).isEmpty)
            #expect(PartitionChecker(activeAgainWithin: .seconds(3600)).violations(in: others).isEmpty)
            let began = Set(history.compactMap { if case .began(let id, _) = $0.action { id } else { nil } })
            #expect(began.isSuperset(of: partitions.map(\.id)))
        }
    }

    /// Kills the server that leads, and starts it again after something has been done without it.
    private func withoutLeader(_ body: () async throws -> Void) async throws {
        let leader = try await ensemble.leader()
        await leader.kill()
        try await body()
        try await leader.start()
    }

    /// Does something to a znode that may be done again when a lost connection leaves its outcome unknown.
    private func surely(_ operation: () async throws -> Void) async throws {
        var isRepeated = false
        while true {
            do {
                return try await operation()
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                isRepeated = true
            } catch let error as ZooKeeperError where isRepeated && [.nodeExists, .noNode].contains(error.code) {
                return
            }
        }
    }

    @Test func `nodes that are killed, frozen and back while the ensemble's leader dies share out as the plan says`()
        async throws
    {
        let partitions = PartitionScene.partitions(9, "k")
        let path = "/killed/shards"
        try await withFleet(at: path, partitions) { fleet, client in
            try await withoutLeader {
                try await fleet.crash("web2")
                try await client.settled(partitions, on: ["web1", "web3"], at: path)
            }
            try fleet.start("web2")
            try await client.settled(partitions, on: Self.all, at: path)
            // Frozen beyond its session, and awake again when its server may be gone.
            try fleet.process(of: "web1").pause()
            try await client.settled(partitions, on: ["web2", "web3"], at: path)
            try await withoutLeader {
                try fleet.process(of: "web1").resume()
                try await client.settled(partitions, on: Self.all, at: path)
            }
            // Started again at once: it outwaits its own earlier life while there is no leader to end that.
            try await withoutLeader {
                try await fleet.crash("web3")
                try fleet.start("web3")
                try await client.settled(partitions, on: Self.all, at: path)
            }
        }
    }

    @Test func `nodes and partitions come and go while the ensemble's leader dies`() async throws {
        let first = PartitionScene.partitions(8, "c")
        let (added, removed) = (PartitionScene.partitions(4, "new"), Array(first.prefix(3)))
        let path = "/changed/shards"
        try await withFleet(at: path, first, on: ["web1", "web2"], removed: removed) { fleet, client in
            try await withoutLeader {
                try fleet.start("web3")
                try await client.settled(first, on: Self.all, at: path)
            }
            try await withoutLeader {
                for partition in removed {
                    try await surely { try await client.delete("\(path)-tenants/\(partition)") }
                }
                for partition in added {
                    try await surely { try await client.create("\(path)-tenants/\(partition)") }
                }
                try await client.settled(first.dropFirst(3) + added, on: Self.all, at: path)
            }
            try await withoutLeader {
                try await fleet.end("web1")
                try await client.settled(first.dropFirst(3) + added, on: ["web2", "web3"], at: path)
            }
            try fleet.start("web1")
            try await client.settled(first.dropFirst(3) + added, on: Self.all, at: path)
            // Drained by an operator, and back.
            try await withoutLeader {
                try await surely { try await PartitionGroup.cordon("web3", client: client, path: path) }
                try await client.settled(first.dropFirst(3) + added, on: ["web1", "web2"], at: path)
            }
            try await withoutLeader {
                try await surely { try await PartitionGroup.uncordon("web3", client: client, path: path) }
                try await client.settled(first.dropFirst(3) + added, on: Self.all, at: path)
            }
            for partition in removed {
                let queue = "\(path)/partitions/\(partition)"
                for try await leader in LeaderSelector.leaderChanges(client: client, path: queue) where leader == nil {
                    break
                }
            }
        }
    }
}

extension [HistoryEntry<PartitionAction>] {
    /// What concerns some of the partitions, by their ids.
    fileprivate func about(_ isMeant: (String) -> Bool) -> Self {
        filter { entry in
            switch entry.action {
            case .began(let id, _), .ended(let id, _), .acted(let id, _, _, _): isMeant(id)
            case .crashed: true
            }
        }
    }
}
