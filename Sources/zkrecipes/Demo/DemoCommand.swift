import ArgumentParser
import Glibc
import ZooKeeper
import ZooKeeperTestKit

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Shows processors that pause for a task, on a real server, and checks that they did.",
        discussion: """
            Starts processor processes that process events all the time, and opens windows in which a task runs alone. \
            Every process logs what it did; in the end the logs are checked. Exit status 0: no event was processed \
            while a task ran. 1: one was, or the demo did not get to its end.
            """)

    @Option(help: "The ensemble, HOST:PORT[,HOST:PORT...]; without it the demo starts a server of its own.")
    var connect: String?

    @Option(help: "How many processor processes, 1 to 100.")
    var processors = 3

    @Option(help: "Events a second of each processor, 1 to 1000000.")
    var rate = 1000

    @Option(help: "How many windows without a fault, 0 to 1000.")
    var windows = 2

    @Option(help: "How long each task takes, in seconds.")
    var taskSeconds = 2.0

    @Option(help: "The session timeout, in seconds.")
    var sessionTimeout = 4.0

    @Option(help: "How long processors stay paused after an operator has crashed, in seconds.")
    var resumeDelay = 2.0

    @Flag(help: "Also kill and freeze processes and restart the server, each around a window.")
    var fault = false

    @Flag(help: "Print one JSON object instead.")
    var json = false

    func validate() throws {
        try require(1...100, processors, "--processors")
        try require(1...1_000_000, rate, "--rate")
        try require(0...1000, windows, "--windows")
        try require(0.05...3600, taskSeconds, "--task-seconds")
        try require(1...600, sessionTimeout, "--session-timeout")
        try require(0...600, resumeDelay, "--resume-delay")
        guard windows > 0 || fault else {
            throw ValidationError("--windows is 0 and there is no --fault: there would be nothing to see.")
        }
        if let connect { try ConnectionOptions.validate(connect) }
    }

    private func require<Value: Comparable>(_ range: ClosedRange<Value>, _ value: Value, _ name: String) throws {
        guard range.contains(value) else {
            throw ValidationError("\(name) is \(value); it must be from \(range.lowerBound) to \(range.upperBound).")
        }
    }

    func run() async throws {
        let board = DemoBoard(rate: rate, isSilent: json)
        let command = self
        let isSuccess = try await runProgram {
            if let connect = command.connect { return try await command.show(on: connect, nil, board) }
            board.tell(plain: "Starting a ZooKeeper server …")
            return try await withTestServer { server in
                try await command.show(on: server.connectionString, server, board)
            }
        }
        guard isSuccess else { throw ExitCode.failure }
    }

    private func show(on connectionString: String, _ server: TestServer?, _ board: DemoBoard) async throws -> Bool {
        let folder = try TemporaryFolder()
        let plan = DemoPlan(
            connectionString: connectionString, sessionTimeout: sessionTimeout, rate: rate, taskSeconds: taskSeconds,
            resumeDelay: resumeDelay, folder: folder.path, base: "/zkrecipes-demo-\(getpid())")
        for line in introduction(plan, server) { board.tell(plain: line) }
        let run = DemoRun(plan: plan, server: server, board: board)
        let drawing = Task { await board.draw { run.counts } }
        let faults = fault ? DemoFault.allCases.filter { $0 != .restartServer || server != nil } : []
        var failure: (any Error)?
        do { try await run.run(processors: processors, windows: windows, faults: faults) } catch { failure = error }
        drawing.cancel()
        await drawing.value
        await run.end()
        let evidence = run.evidence
        let report = DemoReport(
            evidence: evidence, findings: DemoFindings(evidence), steady: run.steadyTraffic, plan: plan,
            failure: failure.map { $0 is CancellationError ? "interrupted" : "\($0)" })
        if json { Output.line(report.json) } else { for line in report.lines { Output.line(line) } }
        if !report.isSuccess, !(failure is CancellationError) { folder.keep() }
        return report.isSuccess
    }

    private func introduction(_ plan: DemoPlan, _ server: TestServer?) -> [String] {
        let count = processors == 1 ? "1 processor" : "\(processors) processors"
        let place = server == nil ? "the ensemble" : "a real server"
        return [
            "\(count) at \(Text.grouped(rate)) events/s each, on \(place): \(plan.connectionString)",
            "Each is a process with a session of its own, of \(Text.seconds(.seconds(sessionTimeout))).",
            "A task asks for a window: all pause, it runs alone, all resume.",
            "Every event and every task is logged; in the end the logs are checked.",
            "",
        ]
    }
}
