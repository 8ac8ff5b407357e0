import ArgumentParser
import CommandLineSupport
import Glibc
import ZooKeeper
import ZooKeeperTestKit

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Shows processors that pause for a task, on a real server, and checks that they did.",
        discussion: """
            Starts processor processes that process events all the time, and opens windows in which a task runs alone. \
            Every process logs what it did; in the end the logs are checked. With --connect, the demo's znodes are \
            removed from the ensemble in the end.

            Exit status: 0 no event was processed while a task ran; 1 one was, or the demo did not get to its end; 64 an \
            option is not valid.
            """)

    @Option(help: "The ensemble, HOST:PORT[,HOST:PORT...]; without it the demo starts a server of its own.")
    var connect: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long to wait for a connection before giving up.", valueName: "seconds"),
        transform: number(0.001...86_400, "seconds"))
    var connectTimeout = 15.0

    @Option(parsing: .unconditional, help: "How many processor processes, 1 to 100.", transform: number(1...100))
    var processors = 3

    @Option(
        parsing: .unconditional, help: "Events a second of each processor, 1 to 1000000.",
        transform: number(1...1_000_000))
    var rate = 1000

    @Option(parsing: .unconditional, help: "How many windows without a fault, 0 to 1000.", transform: number(0...1000))
    var windows = 2

    @Option(
        parsing: .unconditional, help: ArgumentHelp("How long each task takes.", valueName: "seconds"),
        transform: number(0.05...3600, "seconds"))
    var taskSeconds = 2.0

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The session timeout.", valueName: "seconds"),
        transform: number(1...600, "seconds"))
    var sessionTimeout = 4.0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long processors stay paused after an operator has crashed.", valueName: "seconds"),
        transform: number(0...600, "seconds"))
    var resumeDelay = 2.0

    @Flag(help: "Also kill and freeze processes and restart the server, each around a window.")
    var fault = false

    @Option(
        help: ArgumentHelp(
            "Also write every event and window to a file, one JSON object per line, times in milliseconds.",
            valueName: "file"))
    var record: String?

    @Flag(help: "Print one JSON object instead.")
    var json = false

    func validate() throws {
        guard windows > 0 || fault else {
            throw ValidationError("--windows is 0 and there is no --fault: there would be nothing to see.")
        }
        try endpoint?.validate(source: "--connect")
    }

    private var endpoint: Endpoint? {
        connect.map {
            Endpoint(connectionString: $0, sessionTimeout: sessionTimeout, connectTimeout: connectTimeout)
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

    /// Where the demo's znodes are.
    private static var base: String { "/zkrecipes-demo-\(getpid())" }

    /// Runs the demo, and removes its znodes from the user's ensemble however it ends.
    private func removingZNodes(_ client: ZooKeeperClient, _ demo: () async throws -> Bool) async throws -> Bool {
        let result: Result<Bool, any Error>
        do { result = .success(try await demo()) } catch { result = .failure(error) }
        // In a task of its own, because an interruption has cancelled this one.
        let removal = Task {
            try await within(.seconds(10), "done") { try await client.deleteRecursively(Self.base) }
        }
        do { try await removal.value } catch {
            Output.note("Could not remove the demo's znodes, \(Self.base) and below: \(error). Remove them yourself.")
        }
        return try result.get()
    }

    private func show(on connectionString: String, _ server: TestServer?, _ board: DemoBoard) async throws -> Bool {
        let folder = try TemporaryFolder()
        // A file that cannot be written is reported before the demo, not after it.
        if let record { try writeFile("", to: record) }
        let plan = DemoPlan(
            connectionString: connectionString, sessionTimeout: sessionTimeout, rate: rate, taskSeconds: taskSeconds,
            resumeDelay: resumeDelay, folder: folder.path, base: Self.base)
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
        if let record { try writeFile(report.recording, to: record) }
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
