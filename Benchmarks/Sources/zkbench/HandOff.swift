import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// Contenders that pass a mutex on to one another.
enum HandOff {
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (contenders, count) = (try arguments.count(0), try arguments.count(1))
        _ = try arguments.word(2, of: ["own", "shared", "object"])
        let isOneObject = arguments.has("object")
        let sessions = isOneObject || arguments.has("shared") ? 1 : contenders
        try await bench.withClients(sessions, session: bench.longSession) { clients in
            let path = bench.freshPath("handoff")
            let common = try DistributedMutex(client: clients[0], path: path)
            let mutexes = try (0..<contenders).map { number in
                isOneObject ? common : try DistributedMutex(client: clients[number % sessions], path: path)
            }
            try await take(mutexes, times: max(2, 100 / contenders), Turns(contenders, of: count))
            let turns = Turns(contenders, of: count)
            let (packets, start) = (try bench.packets(), now())
            try await take(mutexes, times: count, turns)
            let seconds = Double(now() - start) / 1e9
            let requests = try bench.packets(since: packets)
            let all = Double(contenders * count)
            var report = Report("handoff")
            report.add("sessions", sessions)
            report.add("p", contenders)
            report.add("n", count)
            report.add("ops_s", all / seconds)
            turns.add(to: &report)
            report.add("req_per_op", Double(requests) / all)
            report.print()
        }
    }

    private static func take(_ mutexes: [DistributedMutex], times: Int, _ turns: Turns) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, mutex) in mutexes.enumerated() {
                group.addTask {
                    for _ in 0..<times {
                        let lease = try await mutex.acquire()
                        turns.begin(number, at: now())
                        turns.end()
                        await lease.release()
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

/// Records who holds the mutex.
private final class Turns: Sendable {
    private struct State {
        var latencies = Latencies()
        var counts: [Int]
        /// The counts at the moment when the first contender was done.
        var countsAtFirstEnd: [Int] = []
        var holders = 0
        var violations = 0
        var repeated = 0
        var last: (contender: Int, released: Int64)?
    }

    private let count: Int
    private let state: Mutex<State>

    init(_ contenders: Int, of count: Int) {
        self.count = count
        state = Mutex(State(counts: Array(repeating: 0, count: contenders)))
    }

    func begin(_ contender: Int, at time: Int64) {
        state.withLock { state in
            state.holders += 1
            if state.holders != 1 { state.violations += 1 }
            if let last = state.last {
                if last.contender == contender {
                    state.repeated += 1
                } else {
                    state.latencies.record(time - last.released)
                }
            }
            state.last = (contender, 0)
            state.counts[contender] += 1
            if state.counts[contender] == count, state.countsAtFirstEnd.isEmpty {
                state.countsAtFirstEnd = state.counts
            }
        }
    }

    func end() {
        state.withLock { state in
            state.holders -= 1
            state.last?.released = now()
        }
    }

    func add(to report: inout Report) {
        state.withLock { state in
            report.add(state.latencies)
            report.addDistribution(state.latencies)
            report.add("fairness_max", state.countsAtFirstEnd.max() ?? 0)
            report.add("fairness_min", state.countsAtFirstEnd.min() ?? 0)
            report.add("self_handoffs", state.repeated)
            report.add("violations", state.violations)
        }
    }
}
