import Dispatch
import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// The cost of passing an open gate for an event, compared with the cost of its parts.
enum Gate {
    private static let rounds = 7

    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (threads, events) = (try arguments.count(0), try arguments.count(1, default: 2_000_000))
        try await bench.withClients(1, session: bench.longSession) { clients in
            let gate = try ExclusiveMode(client: clients[0], path: bench.freshPath("gate")).gate(id: "bench")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await gate.run() }
                for await state in gate.states where state.isOpen { break }
                try await measure(gate, threads, events)
                group.cancelAll()
                while let _ = await group.nextResult() {}
            }
        }
    }

    private static func measure(_ gate: EventGate, _ threads: Int, _ events: Int) async throws {
        var (parts, tryEnter, inline, task) = ([Double](), [Double](), [Double](), [Double]())
        // Interleaved, so that a change of the machine's speed affects all kinds equally.
        for _ in 0..<rounds {
            parts.append(await time(threads, events) { passParts($0) })
            tryEnter.append(await time(threads, events) { pass(gate, $0) })
            inline.append(try await timeInline(gate, events / 4))
            task.append(try await timeTask(gate, events / 20))
        }
        var report = Report("gate")
        report.add("threads", threads)
        report.add("n", events)
        report.add("parts_ns", median(parts))
        report.add("try_enter_ns", median(tryEnter))
        report.add("ratio", median(zip(tryEnter, parts).map { $0 / $1 }))
        report.add("with_permit_ns", median(inline))
        report.add("with_permit_task_ns", median(task))
        report.print()
    }

    private static func pass(_ gate: EventGate, _ count: Int) {
        var refused = 0
        for _ in 0..<count {
            if let permit = gate.tryEnter() { permit.leave() } else { refused += 1 }
        }
        precondition(refused == 0, "the gate was not open all the time: \(refused) events were refused")
    }

    /// Returns the time per event with work that does not suspend, on one task.
    private static func timeInline(_ gate: EventGate, _ events: Int) async throws -> Double {
        let start = now()
        for _ in 0..<events { try await gate.withSynchronousPermit { permit in _ = permit.fencingToken } }
        return Double(now() - start) / Double(events)
    }

    /// Returns the time per event with an operation that suspends, on one task.
    private static func timeTask(_ gate: EventGate, _ events: Int) async throws -> Double {
        let start = now()
        for _ in 0..<events {
            try await gate.withPermit { permit in
                await Task.yield()
                _ = permit.fencingToken
            }
        }
        return Double(now() - start) / Double(events)
    }

    /// Returns the time per event when a number of threads do the same work at the same time.
    private static func time(_ threads: Int, _ events: Int, _ work: @escaping @Sendable (Int) -> Void) async -> Double {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let start = now()
                DispatchQueue.concurrentPerform(iterations: threads) { _ in work(events) }
                continuation.resume(returning: Double(now() - start) / Double(events))
            }
        }
    }
}

/// A counter with a cache line of its own.
private struct PaddedCounter: ~Copyable {
    let value = Atomic(0)
    let padding: InlineArray<15, Int> = .init(repeating: 0)
}

/// Does the least that it takes to count an event in and out under a deadline, with a counter for each thread.
private func passParts(_ count: Int) {
    let counter = PaddedCounter()
    let deadline = ContinuousClock.now.advanced(by: .seconds(3_600))
    var late = 0
    for _ in 0..<count {
        counter.value.add(1, ordering: .sequentiallyConsistent)
        if ContinuousClock.now > deadline { late += 1 }
        counter.value.subtract(1, ordering: .sequentiallyConsistent)
    }
    precondition(late == 0)
}
