import Glibc
import ZooKeeper
import ZooKeeperRecipes

/// The cost of many partitions: the time until all are owned, the memory, and the activity while nothing changes.
enum Partitions {
    private static let rest = Duration.seconds(30)

    /// The plan, which every node computes again after each change of the members.
    static func plan(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (count, size) = (try arguments.count(0), try arguments.count(1))
        let partitions = (0..<count).map { Partition("shard-\($0)") }
        func milliseconds(_ share: Double?) -> Double {
            let capacity = share.map { max(1, Int(Double(count) / Double(size) * $0)) }
            let nodes = (0..<size).map { PartitionNode("web\($0)", capacity: capacity) }
            return median(
                (0..<11).map { _ in
                    let start = now()
                    _ = PartitionPlan(partitions: partitions, nodes: nodes)
                    return Double(now() - start) / 1e6
                })
        }
        var report = Report("partition-plan")
        report.add("partitions", count)
        report.add("nodes", size)
        report.add("plan_ms", milliseconds(nil))
        report.add("plan_120_ms", milliseconds(1.2))
        report.add("plan_100_ms", milliseconds(1))
        report.add("plan_80_ms", milliseconds(0.8))
        report.print()
    }

    /// A group that starts, rests, and ends; between them its server is killed and started, if this process has it.
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (count, size) = (try arguments.count(0), try arguments.count(1))
        let length = try arguments.number(2, default: 11)
        let partitions = (0..<count).map { number in
            let id = "shard-\(number)"
            return Partition(id + String(repeating: "x", count: max(0, length - id.count)))
        }
        try await bench.withClients(size, session: bench.longSession) { clients in
            var report = Report("partitions")
            report.add("partitions", count)
            report.add("nodes", size)
            let memory = ProcessStatus().resident
            let (packets, usage) = (try bench.packets(), Usage())
            let path = bench.freshPath("partitions")
            let nodes = try clients.enumerated().map { number, client in
                try GroupNode(
                    client, path, "web\(number)", partitions, startupDelay: size == 1 ? .zero : .seconds(1))
            }
            await settle(nodes, count)
            let settled = usage.elapsed()
            report.add("settled_s", settled.seconds)
            report.add("settled_cpu_s", settled.processor)
            report.add("memory_mb", Double(ProcessStatus().resident - memory) / 1e6)
            report.add("req_settle", try bench.packets(since: packets))
            try await addRest(to: &report, bench)
            try await addRestart(to: &report, bench, clients, nodes, partitions)
            let end = Usage()
            await withTaskGroup(of: Void.self) { group in for node in nodes { group.addTask { await node.leave() } } }
            report.add("leave_s", end.elapsed().seconds)
            report.print()
        }
    }

    private static func addRest(to report: inout Report, _ bench: Bench) async throws {
        // Some requests follow, such as those that set watches on own znodes.
        try await Task.sleep(for: rest / 3)
        let (packets, usage) = (try bench.packets(), Usage())
        try await Task.sleep(for: rest)
        let idle = usage.elapsed()
        report.add("steady_cpu_percent", idle.processor / idle.seconds * 100)
        report.add("steady_req_s", Double(try bench.packets(since: packets)) / idle.seconds)
    }

    private static func addRestart(
        to report: inout Report, _ bench: Bench, _ clients: [ZooKeeperClient], _ nodes: [GroupNode],
        _ partitions: [Partition]
    ) async throws {
        guard let server = bench.server else { return }
        let tokens = tokens(nodes, partitions)
        let usage = Usage()
        await server.kill()
        try await server.start()
        for client in clients { for await state in client.states where state.isConnected { break } }
        await settle(nodes, partitions.count)
        report.add("restart_s", usage.elapsed().seconds)
        try await Task.sleep(for: rest / 3)
        report.add("kept", zip(tokens, Self.tokens(nodes, partitions)).count { $0 == $1 && $0 != nil })
    }

    private static func settle(_ nodes: [GroupNode], _ count: Int) async {
        for node in nodes {
            for await state in node.group.states where state.nodes.count == nodes.count {
                // A single node owns all partitions, except those that its session cannot watch.
                if state.isSettled || state.owned.count + state.unwatchable.count == count { break }
            }
        }
    }

    private static func tokens(_ nodes: [GroupNode], _ partitions: [Partition]) -> [FencingToken?] {
        partitions.map { partition in nodes.lazy.compactMap { $0.group.term(of: partition.id)?.fencingToken }.first }
    }
}

/// A time, and the processor time that this process had used by then.
private struct Usage {
    private let time = now()
    private let processor = Self.processorSeconds()

    func elapsed() -> (seconds: Double, processor: Double) {
        (Double(now() - time) / 1e9, Self.processorSeconds() - processor)
    }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
}
