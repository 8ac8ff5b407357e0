import Foundation
import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// Many repetitions of one thing, and an explanation of those that took far longer than the others.
///
/// The line compares each outlier with two meters that ran beside it: a thread that only sleeps, which stalls with the
/// host, and a session that only reads, which stalls with the server or the host.
enum Tails {
    /// An outlier takes this many times the median.
    private static let factor = 10.0

    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let kind = try arguments.word(0, of: ["windows", "hand-offs"])
        let count = try arguments.count(1)
        let contenders = try arguments.count(2, default: 10)
        let (host, server) = (Meter(), Meter())
        host.startSleeping()
        defer { host.stop() }
        var spans: [Span] = []
        try await bench.withClients(contenders + 2, session: bench.longSession) { clients in
            let (probe, others, path) = (clients[0], Array(clients[1...]), bench.freshPath("tails"))
            let reading = Task { try await server.read(probe) }
            spans =
                kind == "windows"
                ? try await windows(others, path, count) : try await handOffs(others, path, count)
            reading.cancel()
            _ = await reading.result
        }
        var report = Report("tails")
        report.add("how", kind)
        report.add("n", spans.count)
        report.add("p", contenders)
        add(spans, host, server, to: &report)
        report.print()
    }

    private static func add(_ spans: [Span], _ host: Meter, _ server: Meter, to report: inout Report) {
        var latencies = Latencies()
        for span in spans { latencies.record(span.length) }
        report.add(latencies)
        report.addDistribution(latencies)
        let typical = Int64(latencies.microseconds(50) * 1_000)
        let outliers = spans.filter { Double($0.length) > factor * Double(typical) }
        let byHost = outliers.filter { host.explains($0, typical: typical) }
        let byServer = outliers.filter { !byHost.contains($0) && server.explains($0, typical: typical) }
        let others = outliers.filter { !byHost.contains($0) && !byServer.contains($0) }
        report.add("outliers", outliers.count)
        report.add("of_host", byHost.count)
        report.add("of_server", byServer.count)
        report.add("unexplained", others.count)
        report.add("longest_unexplained_us", others.map { Double($0.length) / 1e3 }.max() ?? 0, digits: 1)
        report.add("first_unexplained", others.first.flatMap { spans.firstIndex(of: $0) } ?? -1)
    }

    /// The pauses of windows whose processors are idle.
    private static func windows(_ clients: [ZooKeeperClient], _ path: String, _ count: Int) async throws -> [Span] {
        var spans: [Span] = []
        try await withThrowingTaskGroup(of: Void.self) { group in
            let gates = try clients.dropFirst().enumerated().map { number, client in
                try ExclusiveMode(client: client, path: path).gate(id: "processor-\(number)")
            }
            for gate in gates { group.addTask { try await gate.run() } }
            let mode = try ExclusiveMode(client: clients[0], path: path)
            for turn in -count / 20..<count {
                for gate in gates { for await state in gate.states where state.isOpen { break } }
                let requested = now()
                let opened = try await mode.withWindow(reason: "tails") { _ in now() }
                if turn >= 0 { spans.append(Span(start: requested, end: opened)) }
            }
            group.cancelAll()
            while let _ = await group.nextResult() {}
        }
        return spans
    }

    /// The hand-offs of a mutex, from the call of `release()` to the end of the next contender's `acquire()`.
    private static func handOffs(_ clients: [ZooKeeperClient], _ path: String, _ count: Int) async throws -> [Span] {
        let log = HandOffLog()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in clients.dropFirst() {
                let mutex = try DistributedMutex(client: client, path: path)
                group.addTask {
                    while log.spans.count < count + count / 20 {
                        let lease = try await mutex.acquire()
                        log.turn()
                        await lease.release()
                    }
                }
            }
            try await group.waitForAll()
        }
        return Array(log.spans[(count / 20)..<(count + count / 20)])
    }
}

/// The hand-offs of a mutex, recorded by its holders.
private final class HandOffLog: Sendable {
    private let state = Mutex<(spans: [Span], released: Int64)>(([], 0))

    var spans: [Span] { state.withLock { $0.spans } }

    /// Records the end of a hand-off, and the start of the next one.
    func turn() {
        state.withLock { state in
            if state.released > 0 { state.spans.append(Span(start: state.released, end: now())) }
            state.released = now()
        }
    }
}

/// A period between two times of the monotonic clock, in nanoseconds.
private struct Span: Equatable {
    var start: Int64
    var end: Int64

    var length: Int64 { end - start }

    /// Returns the length of the part that lies in another period.
    func overlap(_ other: Span) -> Int64 { max(0, min(end, other.end) - max(start, other.start)) }
}

/// The periods in which something short took long.
private final class Meter: Sendable {
    private let stalls = Mutex<[Span]>([])
    private let isStopped = Atomic(false)
    /// The length from which a period is recorded.
    private static let least: Int64 = 1_000_000

    private func record(_ span: Span) {
        if span.length >= Self.least { stalls.withLock { $0.append(span) } }
    }

    /// Returns whether the stalls beside an outlier are at least half of what it took longer than usual.
    func explains(_ outlier: Span, typical: Int64) -> Bool {
        let stalled = stalls.withLock { $0.reduce(0) { $0 + outlier.overlap($1) } }
        return 2 * stalled >= outlier.length - typical
    }

    /// Starts a thread that sleeps again and again until ``stop()``.
    func startSleeping() {
        Thread.detachNewThread { [self] in
            while !isStopped.load(ordering: .relaxed) {
                let start = now()
                usleep(200)
                record(Span(start: start, end: now()))
            }
        }
    }

    /// Ends the thread.
    func stop() { isStopped.store(true, ordering: .relaxed) }

    /// Reads again and again, until the task is cancelled.
    func read(_ client: ZooKeeperClient) async throws {
        while !Task.isCancelled {
            let start = now()
            _ = try await client.exists(at: "/")
            record(Span(start: start, end: now()))
            try await Task.sleep(for: .milliseconds(1))
        }
    }
}
