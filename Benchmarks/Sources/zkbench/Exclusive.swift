import ArgumentParser
import Synchronization
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Processors that pause for the operation of a window, each with a session of its own.
enum Exclusive {
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (processors, rounds) = (try arguments.count(0), try arguments.count(1))
        let pace = try arguments.word(2, of: ["paced", "tight"])
        let processes = try arguments.count(3, default: 1)
        let base = bench.freshPath("exclusive")
        let board = try Board(processors: processors)
        try await bench.withClients(1, session: bench.longSession) { clients in
            let mode = try ExclusiveMode(client: clients[0], path: base)
            var result = Windows(processors: processors)
            if processes == 1 {
                try await withProcessors(bench, base, board, 0..<processors, isTight: pace == "tight") {
                    try await result.measure(rounds, mode, board, bench)
                }
            } else {
                let children = try (0..<processes).map { number in
                    let first = processors * number / processes
                    let count = processors * (number + 1) / processes - first
                    return try TestProcess(
                        ownProgram(),
                        arguments: [bench.connect, "processors", base, board.path, "\(first)", "\(count)", pace])
                }
                while board.ready.value < processors {
                    guard children.allSatisfy({ $0.exitStatus == nil }) else {
                        throw BenchError("a process of processors has ended")
                    }
                    try await Task.sleep(for: .milliseconds(20))
                }
                try await result.measure(rounds, mode, board, bench)
                board.stop.value = 1
                for child in children { try await child.waitForExit() }
            }
            var report = Report("exclusive")
            report.add("c", processors)
            report.add("pace", pace)
            report.add("processes", processes)
            report.add("rounds", rounds)
            result.add(to: &report)
            report.add("violations", board.violations.value)
            report.print()
        }
    }

    /// Runs a part of the processors, in a process of their own.
    static func processors(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (first, count) = (try arguments.number(2), try arguments.number(3))
        let board = try Board(path: arguments.text(1))
        let isTight = try arguments.text(4) == "tight"
        try await withProcessors(bench, try arguments.text(0), board, first..<first + count, isTight: isTight) {
            while board.stop.value == 0 { try await Task.sleep(for: .milliseconds(10)) }
        }
    }

    /// Runs processors until a body has ended, which starts when all gates have opened.
    private static func withProcessors(
        _ bench: Bench, _ base: String, _ board: Board, _ numbers: Range<Int>, isTight: Bool,
        _ body: () async throws -> Void
    ) async throws {
        try await bench.withClients(numbers.count, session: bench.longSession) { clients in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (client, number) in zip(clients, numbers) {
                    let gate = try ExclusiveMode(client: client, path: base).gate(id: "processor-\(number)")
                    group.addTask { try await gate.run() }
                    group.addTask { try await process(gate, board, number, isTight: isTight) }
                }
                while numbers.contains(where: { board.resumed($0).value == 0 }) {
                    try await Task.sleep(for: .milliseconds(5))
                }
                board.ready.pointee.add(numbers.count, ordering: .relaxed)
                try await body()
                board.stop.value = 1
                group.cancelAll()
                while let _ = await group.nextResult() {}
            }
        }
    }

    /// Passes events through a gate: 256, then a sleep or, if it is tight, a yield.
    ///
    /// The sleep takes at least 1 ms. With more than 50 processors it is longer, because the wake-ups alone would use all
    /// cores.
    private static func process(_ gate: EventGate, _ board: Board, _ number: Int, isTight: Bool) async throws {
        let (count, resumed) = (board.events(number), board.resumed(number))
        let sleep = Duration.microseconds(max(1_000, 20 * board.processors))
        var token: FencingToken?
        var events = 0
        while board.stop.value == 0 {
            let permit = if let permit = gate.tryEnter() { permit } else { try await gate.enter() }
            if board.operation.value != 0 { board.violations.increment() }
            // Each window increases the token of the events that follow it.
            if permit.fencingToken != token {
                token = permit.fencingToken
                resumed.value = Int(now())
            }
            events += 1
            count.pointee.store(events, ordering: .relaxed)
            permit.leave()
            guard events % 256 == 0 else { continue }
            if isTight { await Task.yield() } else { try await Task.sleep(for: sleep) }
        }
    }
}

/// The measurements of several windows.
private struct Windows {
    let processors: Int
    var (pauses, resumes) = (Latencies(), Latencies())
    var (pauseRequests, resumeRequests) = ([Int](), [Int]())
    var (eventRate, idleRequestRate) = (0.0, 0.0)

    init(processors: Int) { self.processors = processors }

    mutating func measure(_ rounds: Int, _ mode: ExclusiveMode, _ board: Board, _ bench: Bench) async throws {
        try await Task.sleep(for: .milliseconds(500))
        try await rest(board, bench)
        for round in -max(2, rounds / 4)..<rounds {
            let before = try bench.packets()
            let requested = now()
            let (opened, between, ended) = try await mode.withWindow(reason: "bench") { _ in
                let opened = now()
                board.operation.value = 1
                try await Task.sleep(for: .milliseconds(100))
                board.operation.value = 0
                return (opened, try bench.packets(), now())
            }
            let last = try await resumption(after: ended, board)
            // Requests that a processor sends after its first event count as well.
            try await Task.sleep(for: .milliseconds(100))
            let after = try bench.packets()
            guard round >= 0 else { continue }
            pauses.record(opened - requested)
            resumes.record(last - ended)
            pauseRequests.append(between - before - 1)
            resumeRequests.append(after - between - 1)
        }
    }

    /// Measures the events and the requests while no window is requested.
    private mutating func rest(_ board: Board, _ bench: Bench) async throws {
        let (packets, start, events) = (try bench.packets(), now(), sum(board))
        try await Task.sleep(for: .seconds(3))
        let seconds = Double(now() - start) / 1e9
        eventRate = Double(sum(board) - events) / seconds
        idleRequestRate = Double(try bench.packets(since: packets)) / seconds
    }

    private func sum(_ board: Board) -> Int { (0..<processors).reduce(0) { $0 + board.events($1).value } }

    /// Waits until every processor had an event after a time, and returns the time of the last of these events.
    private func resumption(after time: Int64, _ board: Board) async throws -> Int64 {
        var last = 0
        for processor in 0..<processors {
            let limit = now() + 60_000_000_000
            while board.resumed(processor).value < time {
                guard now() < limit else {
                    throw BenchError("processor \(processor) did not resume within 60 s")
                }
                try await Task.sleep(for: .milliseconds(1))
            }
            last = max(last, board.resumed(processor).value)
        }
        return Int64(last)
    }

    func add(to report: inout Report) {
        report.add("events_s", eventRate, digits: 0)
        report.add("steady_req_s", idleRequestRate)
        report.add(pauses, prefix: "pause_")
        report.add(resumes, prefix: "resume_")
        report.add("req_pause", median(pauseRequests))
        report.add("req_resume", median(resumeRequests))
    }
}
