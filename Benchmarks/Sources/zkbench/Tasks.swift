import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// A scheduled task with two nodes, each with a session of its own.
enum Tasks {
    /// Runs that an operator requests.
    static func runs(_ bench: Bench, _ arguments: LineArguments) async throws {
        let count = try arguments.count(0)
        try await bench.withClients(2, session: bench.longSession) { clients in
            let path = bench.freshPath("task")
            let nodes = try await leaderAndStandby(clients, path)
            let control = try ScheduledTaskControl(client: clients[1], path: path, id: "bench")
            var (both, start) = (Latencies(), Latencies())
            var packets = 0
            var states = nodes[0].task.states.makeAsyncIterator()
            for turn in -max(5, count / 10)..<count {
                if turn == 0 { packets = try bench.packets() }
                let requested = now()
                try await control.runNow()
                guard let began = await nodes[0].nextRun() else { break }
                var hasRun = false
                while let state = await states.next() {
                    if case .running = state { hasRun = true }
                    if case .waiting = state, hasRun { break }
                }
                guard turn >= 0 else { continue }
                both.record(now() - requested)
                start.record(began - requested)
            }
            let requests = try bench.packets(since: packets)
            for node in nodes { await node.leave() }
            var report = Report("task-runs")
            report.add("n", count)
            report.add(both)
            report.add(start, prefix: "start_")
            report.add("req_per_op", Double(requests) / Double(count))
            report.print()
        }
    }

    /// Starts two nodes, of which the first one leads.
    private static func leaderAndStandby(_ clients: [ZooKeeperClient], _ path: String) async throws -> [TaskNode] {
        let leader = try TaskNode(clients[0], path, "node-0")
        await leader.untilLeading()
        let standby = try TaskNode(clients[1], path, "node-1")
        await standby.untilStandby()
        return [leader, standby]
    }

    /// Moves of the leadership: the leader leaves, and the other node takes over.
    static func moves(_ bench: Bench, _ arguments: LineArguments) async throws {
        let count = try arguments.count(0)
        try await bench.withClients(2, session: bench.longSession) { clients in
            let path = bench.freshPath("task")
            var nodes = try await leaderAndStandby(clients, path)
            var (latencies, requests) = (Latencies(), [Int]())
            for turn in -2..<count {
                let (leader, other) = (nodes[0], nodes[1])
                await other.untilStandby()
                let packets = try bench.packets()
                let start = now()
                async let left: Void = leader.leave()
                await other.untilLeading()
                let end = now()
                await left
                let sent = try bench.packets(since: packets)
                nodes = [other, try TaskNode(leader.client, path, leader.id)]
                guard turn >= 0 else { continue }
                latencies.record(end - start)
                requests.append(sent)
            }
            for node in nodes { await node.leave() }
            var report = Report("task-moves")
            report.add("n", count)
            report.add(latencies)
            report.add("req_per_op", median(requests))
            report.print()
        }
    }
}

/// A node of the scheduled task, which runs until it leaves.
private final class TaskNode: Sendable {
    let client: ZooKeeperClient
    let id: String
    let task: ScheduledTask
    private let starts: AsyncStream<Int64>
    private let running: Task<Void, any Error>

    init(_ client: ZooKeeperClient, _ path: String, _ id: String) throws {
        self.client = client
        self.id = id
        let (starts, started) = AsyncStream.makeStream(of: Int64.self)
        self.starts = starts
        var configuration = ScheduledTask.Configuration()
        configuration.missed = .none
        let task = try ScheduledTask(
            client: client, path: path, id: id, name: "bench", schedule: .every(.seconds(86_400)),
            delivery: .atLeastOnce, configuration: configuration, logger: .errorsOnly
        ) { _ in started.yield(now()) }
        self.task = task
        running = Task { try await task.run() }
    }

    func nextRun() async -> Int64? {
        for await start in starts { return start }
        return nil
    }

    func untilLeading() async {
        for await state in task.states { if case .waiting = state { return } }
    }

    func untilStandby() async {
        for await state in task.states { if case .standby(.some) = state { return } }
    }

    func leave() async {
        running.cancel()
        _ = await running.result
    }
}
