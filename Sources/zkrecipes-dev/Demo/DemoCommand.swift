import ArgumentParser
import CommandLineSupport
import Glibc
import ZooKeeper
import ZooKeeperTestKit

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Runs processors that pause for a task, and checks their logs.",
        discussion: """
            Starts a ZooKeeper server and processes that process events continuously, and opens windows in which a \
            task runs alone. Every process logs its events, and the demo checks the logs at the end. With --connect, \
            the demo removes its znodes from the ensemble at the end. \(HelpText.signals)

            \(HelpText.example("zkrecipes demo --fault --processors 5"))

            \(HelpText.exitStatus([
                "0": "no event was processed while a task ran",
                "1": "an event was, or the demo did not complete, as after a signal",
                "64": "invalid option",
            ]))
            """)

    @Option(
        help: ArgumentHelp(
            "The servers of an ensemble: host:port[,host:port...][/chroot]. (default: start a server)",
            valueName: "servers"))
    var connect: String?

    @Option("Give up if there is no connection after this time.", in: .milliseconds(1)...DurationArgument.oneDay)
    var connectTimeout = DurationArgument.seconds(15)

    @Option(
        parsing: .unconditional, help: "The number of processors, 1 to 100. (default: 3)", transform: number(1...100))
    var processors = 3

    @Option(
        parsing: .unconditional, help: "The events per second of each processor, 1 to 1000000. (default: 1000)",
        transform: number(1...1_000_000))
    var rate = 1000

    @Option(
        parsing: .unconditional, help: "The number of windows without a fault, 0 to 1000. (default: 2)",
        transform: number(0...1000))
    var windows = 2

    @Option("The duration of each task.", in: .milliseconds(50)...(.hours(1)))
    var taskDuration = DurationArgument.seconds(2)

    @Option("The session timeout of each process.", in: .seconds(1)...(.minutes(10)))
    var sessionTimeout = DurationArgument.seconds(4)

    @Option(
        "The time for which processors stay paused after an operator has crashed.", in: .seconds(0)...(.minutes(10)))
    var resumeDelay = DurationArgument.seconds(2)

    @Flag(help: "Also kill and freeze processes and restart the server, each during a window.")
    var fault = false

    @Option(
        help: ArgumentHelp(
            "Also write all events and windows to this file, one JSON object per line, with times in milliseconds.",
            valueName: "file"))
    var record: String?

    @Flag(help: "Print one JSON object instead of text.")
    var json = false

    func validate() throws {
        guard windows > 0 || fault else {
            throw ValidationError("--windows is 0, so there would be no window: use --windows 1 or --fault")
        }
        try endpoint?.validate(source: "--connect")
    }

    private var endpoint: Endpoint? {
        connect.map {
            Endpoint(
                connectionString: $0, sessionTimeout: sessionTimeout.duration, connectTimeout: connectTimeout.duration)
        }
    }

    func run() async throws {
        let board = DemoBoard(rate: rate, isSilent: json)
        let command = self
        let isSuccess: Bool
        if let endpoint {
            isSuccess = try await runProgram(at: endpoint) { client in
                try await command.removingZNodes(client) {
                    try await command.show(on: endpoint.connectionString, nil, board)
                }
            }
        } else {
            isSuccess = try await runProgram {
                board.tell(plain: "Starting a ZooKeeper server …")
                return try await withTestServer { server in
                    try await command.show(on: server.connectionString, server, board)
                }
            }
        }
        guard isSuccess else { throw ExitCode.failure }
    }

    /// The base path of the demo's znodes.
    private static var base: String { "/zkrecipes-demo-\(getpid())" }

    /// Runs the demo, and removes its znodes from the user's ensemble at the end, also after an error or a signal.
    private func removingZNodes(_ client: ZooKeeperClient, _ demo: () async throws -> Bool) async throws -> Bool {
        let result: Result<Bool, any Error>
        do { result = .success(try await demo()) } catch { result = .failure(error) }
        // In a task of its own, because a signal cancels this one.
        let removal = Task {
            try await within(.seconds(10), "done") { try await client.deleteRecursively(Self.base) }
        }
        do { try await removal.value } catch {
            Output.report("cannot remove the demo's znodes: \(error); delete \(Self.base) and its children yourself")
        }
        return try result.get()
    }

    private func show(on connectionString: String, _ server: TestServer?, _ board: DemoBoard) async throws -> Bool {
        let folder = try TemporaryFolder()
        // A file that cannot be written is reported before the demo, not after it.
        if let record { try writeFile("", to: record) }
        let plan = DemoPlan(
            connectionString: connectionString, sessionTimeout: sessionTimeout.duration / .seconds(1), rate: rate,
            taskSeconds: taskDuration.duration / .seconds(1), resumeDelay: resumeDelay.duration / .seconds(1),
            folder: folder.path, base: Self.base)
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
            failure: failure.map { ZKRecipesDev.explanation(of: $0) })
        if let record { try writeFile(report.recording, to: record) }
        await Output.results(json ? [report.json] : report.lines)
        if !report.isSuccess, !(failure is CancellationError) { folder.keep() }
        return report.isSuccess
    }

    private func introduction(_ plan: DemoPlan, _ server: TestServer?) -> [String] {
        let count = "\(processors) \(noun("processor", for: processors))"
        let place = server == nil ? "the ensemble" : "a real server"
        return [
            "\(count) at \(Text.grouped(rate)) events/s each, on \(place): \(plan.connectionString)",
            "Each processor is a process with its own session, whose timeout is \(Text.seconds(sessionTimeout.duration)).",
            "A task requests a window: all processors pause, the task runs alone, all processors resume.",
            "Every event and every task is logged, and the demo checks the logs at the end.",
            "",
        ]
    }
}
