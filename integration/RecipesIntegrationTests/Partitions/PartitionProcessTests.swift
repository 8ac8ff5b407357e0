import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Nodes in processes of their own, which are frozen and killed.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct PartitionProcessTests {
    private static let partitions = (0..<9).map { "p\($0)" }
    private static let sessionTimeout = 3

    /// The processes of one group, in all their lives.
    private final class Fleet {
        let server: TestServer
        var lives: [(name: String, process: TestProcess)] = []
        let crashes = History<PartitionAction>()

        init(_ server: TestServer) {
            self.server = server
        }

        func start(_ node: String) throws -> TestProcess {
            let process = try program(
                "partitions", "run", PartitionScene.path, "--node", node, "--partitions",
                PartitionProcessTests.partitions.joined(separator: ","), "--act-every", "0.005", "--settle-time", "0",
                "--session-timeout", "\(PartitionProcessTests.sessionTimeout)", "--connect", server.connectionString)
            lives.append((node, process))
            return process
        }

        func crash(_ process: TestProcess) async {
            await process.kill()
            guard let life = lives.firstIndex(where: { $0.process === process }) else { return }
            crashes.record(.crashed(node: "\(life)"), by: "test", at: SystemMonotonicClock().now)
        }

        /// What all of them printed, of which each line was written before its process did anything else.
        func history() async throws -> [HistoryEntry<PartitionAction>] {
            var entries = crashes.entries
            for (life, run) in lives.enumerated() {
                entries += try await run.process.output().compactMap { PartitionProcessTests.entry($0, of: "\(life)") }
            }
            return entries
        }
    }

    private static func entry(_ line: String, of process: String) -> HistoryEntry<PartitionAction>? {
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 4, let token = Int64(words[2]), let time = Int64(words[words.count - 1]) else {
            return nil
        }
        let action: PartitionAction
        switch words[0] {
        case "began": action = .began(partition: words[1], token: token)
        case "ended": action = .ended(partition: words[1], token: token)
        default: action = .acted(partition: words[1], token: token, isValid: words[3] == "valid")
        }
        return HistoryEntry(time: MonotonicInstant(nanoseconds: time), process: process, action: action)
    }

    /// Waits until the ensemble says that each partition is owned by whom the plan wants.
    private func settle(_ nodes: [String], _ client: ZooKeeperClient) async throws {
        let plan = PartitionPlan(
            partitions: Self.partitions.map { Partition($0) }, nodes: nodes.map { PartitionNode($0) })
        for place in plan.placements {
            let queue = "\(PartitionScene.path)/partitions/\(place.partition)"
            for try await leader in LeaderSelector.leaderChanges(at: queue, client: client) {
                guard leader?.id == place.owner else { continue }
                let status = try await PartitionGroup.status(
                    at: PartitionScene.path, partitions: .list([place.partition]), client: client)
                if status.partitions[0].owner == place.owner { break }
            }
        }
    }

    /// The partitions that a node should own among others.
    private func own(_ node: String, of nodes: [String]) -> [String] {
        PartitionPlan(partitions: Self.partitions.map { Partition($0) }, nodes: nodes.map { PartitionNode($0) })
            .placements.filter { $0.owner == node }.map(\.partition.id)
    }

    private func withFleet(
        _ body: (Fleet, [TestProcess], ZooKeeperClient) async throws -> Void
    ) async throws -> [Violation] {
        var violations: [Violation] = []
        try await withTestServer { server in
            try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
                let fleet = Fleet(server)
                let nodes = try ["web1", "web2", "web3"].map { try fleet.start($0) }
                try await settle(["web1", "web2", "web3"], client)
                try await body(fleet, nodes, client)
                for life in fleet.lives where life.process.exitStatus == nil {
                    try life.process.terminate()
                    #expect(try await life.process.waitForEnd() == .exited(0))
                }
                // A session's end, and time for machines that are busy.
                let bound = Duration.seconds(Self.sessionTimeout) * 2 + .seconds(10)
                let history = try await fleet.history()
                Self.tellGaps(in: history)
                violations = PartitionChecker(activeAgainWithin: bound).violations(in: history)
            }
        }
        return violations
    }

    /// Prints for how long a partition was nobody's, at the most: figures for the record, which nothing depends on.
    private static func tellGaps(in history: [HistoryEntry<PartitionAction>]) {
        var owners: [String: String] = [:]
        var gone: [String: (time: MonotonicInstant, isCrash: Bool)] = [:]
        var (afterCrash, afterEnd) = (Duration.zero, Duration.zero)
        for entry in history.sorted(by: { $0.time < $1.time }) {
            switch entry.action {
            case .began(let partition, _):
                owners[partition] = entry.process
                guard let last = gone.removeValue(forKey: partition) else { continue }
                let gap = entry.time - last.time
                if last.isCrash { afterCrash = max(afterCrash, gap) } else { afterEnd = max(afterEnd, gap) }
            case .ended(let partition, _) where owners[partition] == entry.process:
                owners[partition] = nil
                gone[partition] = (entry.time, false)
            case .crashed(let node):
                for (partition, owner) in owners where owner == node {
                    owners[partition] = nil
                    gone[partition] = (entry.time, true)
                }
            default: continue
            }
        }
        print("partitions were active again within \(afterCrash) of a kill, \(afterEnd) of an end in order")
    }

    @Test func `what a killed node had is active again after its session, and home again when it is back`() async throws
    {
        let violations = try await withFleet { fleet, nodes, client in
            #expect(!own("web2", of: ["web1", "web2", "web3"]).isEmpty)
            await fleet.crash(nodes[1])
            try await settle(["web1", "web3"], client)
            _ = try fleet.start("web2")
            try await settle(["web1", "web2", "web3"], client)
            // Killed and started again at once: its own earlier life is outwaited.
            await fleet.crash(nodes[2])
            _ = try fleet.start("web3")
            try await settle(["web1", "web2", "web3"], client)
        }
        #expect(violations.isEmpty)
    }

    @Test func `a node frozen beyond its session acts as valid no more, and gets its partitions back`() async throws {
        let violations = try await withFleet { fleet, nodes, client in
            let its = own("web1", of: ["web1", "web2", "web3"])
            let before = try await PartitionGroup.status(at: PartitionScene.path, client: client)
            try nodes[0].pause()
            try await settle(["web2", "web3"], client)
            try nodes[0].resume()
            try await settle(["web1", "web2", "web3"], client)
            let after = try await PartitionGroup.status(at: PartitionScene.path, client: client)
            let moved = zip(before.partitions, after.partitions).filter { $0.token != $1.token }.map(\.0.partition)
            #expect(!its.isEmpty && Set(moved) == Set(its))
        }
        #expect(violations.isEmpty)
    }

    @Test func `a node that is told to end leaves in order, and the status tells who has what`() async throws {
        let violations = try await withFleet { fleet, nodes, client in
            try nodes[0].terminate()
            #expect(try await nodes[0].waitForEnd() == .exited(0))
            try await settle(["web2", "web3"], client)
            let lines = try await program(
                "partitions", "status", PartitionScene.path, "--connect", fleet.server.connectionString
            ).output()
            #expect(lines.first == "NODE   OWNS")
            #expect(lines.contains { $0.hasPrefix("web2 ") } && !lines.contains { $0.hasPrefix("web1 ") })
            let rows = lines.filter { $0.hasPrefix("p") }
            #expect(rows.count == 9 && rows.allSatisfy { $0.contains("by hash and weight, of 2 nodes") })
            for refused in [["run", "/app", "--node", "a"], ["run", "/", "--node", "a", "--partitions", "b"]] {
                let process = try TestProcess(
                    TestProcess.path(ofProduct: "zkrecipes"), arguments: ["partitions"] + refused)
                #expect(try await process.waitForEnd() == .exited(64))
            }
        }
        #expect(violations.isEmpty)
    }
}
