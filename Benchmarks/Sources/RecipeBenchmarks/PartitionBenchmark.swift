import ArgumentParser
import Glibc
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// The cost of many partitions: the time until all are owned, the memory, and the activity while nothing changes.
struct PartitionBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions", abstract: "Many partitions over some nodes, all of them in this process.")

    @Option(parsing: .upToNextOption, help: "Numbers of partitions.") var partitions = [100, 1_000, 10_000]
    @Option(parsing: .upToNextOption, help: "Numbers of nodes.") var nodes = [1, 10]
    @Option(help: "Length of the partitions' IDs; each own znode is watched by its path.") var idLength = 11
    @Option(help: "Seconds of observation while nothing changes.") var rest = 30.0

    func run() async throws {
        plans()
        print("\nPartitions over nodes of one process (a session of 30 s each; the server beside it)")
        for nodes in nodes {
            for partitions in partitions {
                var configuration = TestServerConfiguration()
                configuration.heapMegabytes = 1_024
                try await withTestServer(configuration: configuration) { server in
                    printTable([Figures.head, try await measure(partitions, nodes, server).row])
                }
            }
        }
    }

    /// The plan, which every node computes again after each change of the members.
    private func plans() {
        let partitions = (0..<10_000).map { Partition("shard-\($0)") }
        func milliseconds(_ capacity: Int?) -> Double {
            let nodes = (0..<100).map { PartitionNode("web\($0)", capacity: capacity) }
            return median(
                (0..<11).map { _ in
                    let began = ContinuousClock.now
                    _ = PartitionPlan(partitions: partitions, nodes: nodes)
                    return began.duration(to: .now).inMilliseconds
                })
        }
        print("\nA plan of 10,000 partitions over 100 nodes (median of 11)")
        printTable([
            ["capacity", "ms"], ["none", text(milliseconds(nil))], ["120 each", text(milliseconds(120))],
            ["100 each", text(milliseconds(100))], ["80 each", text(milliseconds(80))],
        ])
    }

    private func measure(_ count: Int, _ nodes: Int, _ server: TestServer) async throws -> Figures {
        let partitions = (0..<count).map { index in
            let id = "shard-\(index)"
            return Partition(id + String(repeating: "x", count: max(0, idLength - id.count)))
        }
        let clients = try (0..<nodes).map { _ in try makeClient(server.connectionString) }
        let groups = try clients.enumerated().map { try Self.group($0, $1, partitions, nodes) }
        var figures = Figures(partitions: count, nodes: nodes)
        let memory = residentMegabytes()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for client in clients { tasks.addTask { try await client.run() } }
            var before = Usage()
            let running = groups.map { group in Task { try await group.run() } }
            await Self.settle(groups, count)
            figures.settled = before.elapsed()
            figures.memory = residentMegabytes() - memory
            figures.requests = try await server.counters().packetsReceived

            // Some requests follow, such as those that set watches on own znodes.
            try await Task.sleep(for: .seconds(rest / 3))
            let asked = try await server.counters().packetsReceived
            before = Usage()
            try await Task.sleep(for: .seconds(rest))
            figures.idle = before.elapsed()
            figures.requestsAtRest = try await server.counters().packetsReceived - asked

            let tokens = Self.tokens(groups, partitions)
            before = Usage()
            await server.kill()
            try await server.start()
            for client in clients { for await state in client.states where state.isConnected { break } }
            await Self.settle(groups, count)
            figures.restarted = before.elapsed()
            try await Task.sleep(for: .seconds(rest / 3))
            figures.kept = zip(tokens, Self.tokens(groups, partitions)).count { $0 == $1 && $0 != nil }

            before = Usage()
            for task in running { task.cancel() }
            for task in running { try await task.value }
            figures.ended = before.elapsed()
            tasks.cancelAll()
        }
        return figures
    }

    private static func group(
        _ index: Int, _ client: ZooKeeperClient, _ partitions: [Partition], _ nodes: Int
    ) throws -> PartitionGroup {
        var configuration = PartitionGroup.Configuration()
        configuration.rebalanceDelay = .zero
        configuration.startupDelay = nodes == 1 ? .zero : .seconds(1)
        return try PartitionGroup(
            client: client, path: "/bench", node: PartitionNode("web\(index)"),
            partitions: .list(partitions), configuration: configuration, logger: makeLogger()
        ) { _, _ in
            try await Task.sleep(for: .seconds(86_400))
        }
    }

    private static func settle(_ groups: [PartitionGroup], _ count: Int) async {
        for group in groups {
            for await state in group.states where state.nodes.count == groups.count {
                // A single node owns all partitions, except those that its session cannot watch.
                if state.isSettled || state.owned.count + state.unwatchable.count == count { break }
            }
        }
    }

    private static func tokens(_ groups: [PartitionGroup], _ partitions: [Partition]) -> [FencingToken?] {
        partitions.map { partition in groups.lazy.compactMap { $0.term(of: partition.id)?.fencingToken }.first }
    }
}

/// The measurements for one number of partitions.
private struct Figures {
    var partitions: Int
    var nodes: Int
    var settled = Usage.Span()
    var memory = 0.0
    var requests = 0
    var idle = Usage.Span()
    var requestsAtRest = 0
    var restarted = Usage.Span()
    var kept = 0
    var ended = Usage.Span()

    init(partitions: Int, nodes: Int) {
        self.partitions = partitions
        self.nodes = nodes
    }

    static let head = [
        "nodes", "partitions", "settled s", "CPU s", "MB", "requests", "at rest: CPU %", "requests/s",
        "server restarts: s", "kept", "left s",
    ]

    var row: [String] {
        [
            String(nodes), String(partitions), text(settled.seconds, digits: 2), text(settled.processor, digits: 2),
            text(memory), String(requests), text(idle.processor / idle.seconds * 100, digits: 2),
            text(Double(requestsAtRest) / idle.seconds, digits: 2), text(restarted.seconds, digits: 2), String(kept),
            text(ended.seconds, digits: 2),
        ]
    }
}

/// An instant, and the processor time that this process had used by then.
private struct Usage {
    struct Span {
        var seconds = 0.0
        /// The processor time, in seconds.
        var processor = 0.0
    }

    private let time = ContinuousClock.now
    private let processor = Self.processorSeconds()

    func elapsed() -> Span {
        Span(seconds: time.duration(to: .now) / .seconds(1), processor: Self.processorSeconds() - processor)
    }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
}

/// The memory of this process that is in use.
private func residentMegabytes() -> Double {
    guard let file = fopen("/proc/self/statm", "r") else { return .nan }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return .nan }
    let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
        separator: " ")
    return (Double(words[1]) ?? .nan) * 4_096 / 1e6
}
