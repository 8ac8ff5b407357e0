import ArgumentParser
import Dispatch
import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// The cost of passing an open gate for an event, compared with the cost of its parts.
struct GateBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate", abstract: "Nanoseconds per event through an open gate.")

    @Option(help: "Events per measurement and thread.") var events = 2_000_000
    @Option(help: "Measurements of each kind; the median is printed.") var rounds = 7
    @Option(help: "Connection string; a server of its own by default.") var connect: String?

    func run() async throws {
        try await withServer(connect) { connection, _ in
            let client = try makeClient(connection)
            let gate = try ExclusiveMode(client: client, path: "/bench-gate").gate(id: "bench")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await client.run() }
                group.addTask { try await gate.run() }
                for await state in gate.states where state.isOpen { break }
                try await measure(gate)
                group.cancelAll()
            }
        }
    }

    private func measure(_ gate: EventGate) async throws {
        print("\nAn event through an open gate (\(events) events a thread, median of \(rounds)), ns per event")
        var rows = [["", "1 thread", "ratio", "2 threads", "ratio"]]
        let parts = Parts()
        var baseline: [Double] = []
        let kinds: [(String, @Sendable (Int) -> Void)] = [
            ("its parts: atomic add, clock read, atomic subtract", { parts.run($0) }),
            ("tryEnter + leave", { Self.pass(gate, $0) }),
        ]
        var results = kinds.map { _ in ([Double](), [Double]()) }
        // Interleaved, so that a change of the machine's speed affects all kinds equally.
        for _ in 0..<rounds {
            for (index, kind) in kinds.enumerated() {
                results[index].0.append(await time(threads: 1, kind.1))
                results[index].1.append(await time(threads: 2, kind.1))
            }
        }
        for (index, kind) in kinds.enumerated() {
            let values = [median(results[index].0), median(results[index].1)]
            if index == 0 { baseline = values }
            rows.append([
                kind.0, text(values[0]), text(values[0] / baseline[0], digits: 2), text(values[1]),
                text(values[1] / baseline[1], digits: 2),
            ])
        }
        rows.append(try await closures(gate, baseline: baseline[0]))
        rows.append(try await operations(gate, baseline: baseline[0]))
        printTable(rows)
    }

    private func closures(_ gate: EventGate, baseline: Double) async throws -> [String] {
        var values: [Double] = []
        for _ in 0..<rounds {
            let began = ContinuousClock.now
            for _ in 0..<events { try await gate.withPermit { (permit: EventPermit) in _ = permit.fencingToken } }
            values.append(began.duration(to: .now).inNanoseconds / Double(events))
        }
        return [
            "withPermit, work that does not suspend", text(median(values)), text(median(values) / baseline), "", "",
        ]
    }

    private func operations(_ gate: EventGate, baseline: Double) async throws -> [String] {
        var values: [Double] = []
        let count = events / 10
        for _ in 0..<rounds {
            let began = ContinuousClock.now
            for _ in 0..<count {
                try await gate.withPermit { permit in
                    await Task.yield()
                    _ = permit.fencingToken
                }
            }
            values.append(began.duration(to: .now).inNanoseconds / Double(count))
        }
        return [
            "withPermit, an operation in its own task", text(median(values)), text(median(values) / baseline), "", "",
        ]
    }

    private static func pass(_ gate: EventGate, _ count: Int) {
        var refused = 0
        for _ in 0..<count {
            if let permit = gate.tryEnter() { permit.leave() } else { refused += 1 }
        }
        precondition(refused == 0, "the gate was not open all the time: \(refused) events were refused")
    }

    /// The wall time per event when a number of threads pass the gate, each with its own counter.
    private func time(threads: Int, _ work: @escaping @Sendable (Int) -> Void) async -> Double {
        let events = events
        return await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let began = ContinuousClock.now
                DispatchQueue.concurrentPerform(iterations: threads) { _ in work(events) }
                continuation.resume(returning: began.duration(to: .now).inNanoseconds / Double(events))
            }
        }
    }
}

/// The minimum cost of counting an event in and out under a deadline: each thread has its own counter.
private final class Parts: Sendable {
    private struct Padded: ~Copyable {
        let value = Atomic(0)
        let padding: InlineArray<15, Int> = .init(repeating: 0)
    }

    func run(_ count: Int) {
        let counter = Padded()
        var late = 0
        let deadline = ContinuousClock.now.advanced(by: .seconds(3600))
        for _ in 0..<count {
            counter.value.add(1, ordering: .sequentiallyConsistent)
            if ContinuousClock.now > deadline { late += 1 }
            counter.value.subtract(1, ordering: .sequentiallyConsistent)
        }
        precondition(late == 0)
    }
}
