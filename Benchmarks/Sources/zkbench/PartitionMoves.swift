import ZooKeeper
import ZooKeeperRecipes

/// A group of two nodes, of which one leaves and joins again.
enum PartitionMoves {
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (count, rounds) = (try arguments.count(0), try arguments.count(1))
        let partitions = (0..<count).map { Partition("shard-\($0)") }
        try await bench.withClients(2, session: bench.longSession) { clients in
            let path = bench.freshPath("group")
            let staying = try GroupNode(clients[0], path, "node-0", partitions)
            var moving = try GroupNode(clients[1], path, "node-1", partitions)
            var (leaves, joins) = (Latencies(), Latencies())
            var (leaveRequests, joinRequests) = ([Int](), [Int]())
            await GroupNode.settle([staying, moving])
            let moves = moving.group.state.owned.count
            for round in -1..<rounds {
                let before = try bench.packets()
                let left = now()
                async let leaving: Void = moving.leave()
                await staying.untilOwner(of: count)
                let owned = now()
                await leaving
                let between = try bench.packets()
                let joined = now()
                moving = try GroupNode(clients[1], path, "node-1", partitions)
                await GroupNode.settle([staying, moving])
                let settled = now()
                let after = try bench.packets()
                guard round >= 0 else { continue }
                leaves.record(owned - left)
                joins.record(settled - joined)
                leaveRequests.append(between - before - 1)
                joinRequests.append(after - between - 1)
            }
            for node in [staying, moving] { await node.leave() }
            var report = Report("partition-moves")
            report.add("partitions", count)
            report.add("moves", moves)
            report.add("rounds", rounds)
            report.add(leaves, prefix: "leave_")
            report.add(joins, prefix: "join_")
            report.add("req_leave", median(leaveRequests))
            report.add("req_join", median(joinRequests))
            report.print()
        }
    }
}

/// A node of a group that runs until it leaves.
struct GroupNode: Sendable {
    let group: PartitionGroup
    private let running: Task<Void, any Error>

    init(
        _ client: ZooKeeperClient, _ path: String, _ id: String, _ partitions: [Partition],
        startupDelay: Duration = .zero
    ) throws {
        var configuration = PartitionGroup.Configuration()
        configuration.rebalanceDelay = .zero
        configuration.startupDelay = startupDelay
        let group = try PartitionGroup(
            client: client, path: path, node: PartitionNode(id), partitions: .list(partitions),
            configuration: configuration, logger: .errorsOnly
        ) { _, _ in
            try await Task.sleep(for: .seconds(86_400))
        }
        self.group = group
        running = Task { try await group.run() }
    }

    func leave() async {
        running.cancel()
        _ = await running.result
    }

    /// Waits until this node is alone and owns a number of partitions.
    func untilOwner(of count: Int) async {
        for await state in group.states where state.nodes.count == 1 && state.owned.count == count { return }
    }

    /// Waits until each node owns the partitions that its plan assigns to it.
    static func settle(_ nodes: [GroupNode]) async {
        for node in nodes {
            for await state in node.group.states where state.nodes.count == nodes.count && state.isSettled { break }
        }
    }
}
