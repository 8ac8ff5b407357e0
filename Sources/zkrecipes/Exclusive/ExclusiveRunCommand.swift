import ArgumentParser
import CommandLineSupport
import Synchronization
import ZooKeeper
import ZooKeeperRecipes

struct ExclusiveRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a command while all processors are paused.",
        usage: "zkrecipes exclusive run BASE [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command receives the fencing token of its window in ZK_FENCING_TOKEN and BASE in ZK_EXCLUSIVE_BASE. \
            \(HeldCommand.variablesHelp(holding: "window"))

            \(HelpText.example("zkrecipes exclusive run /orders --abort-after 2m --grace 1m -- ./nightly.sh"))

            \(HeldCommand.help(holding: "window"))

            \(HelpText.exitStatus([
                "120": "another window is requested or open (with --fail-if-busy)",
                "121": "a processor did not pause in time (with --abort-after)",
                "122": "the window was lost",
            ]))
            \(HeldCommand.statusHelp)
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions

    @Option(
        help: "The ID of the participant, which status shows. (default: the host name and process ID)",
        transform: parseLabel)
    var id: String?

    @Option(help: "The purpose of the window, which status shows. (default: the command's name)")
    var reason: String?

    @Flag(help: "Wait for all processors without limit. This is the default.")
    var wait = false

    @Option(
        "Give up if a processor has not paused after this time; all processors resume.",
        in: .seconds(0)...DurationArgument.oneDay)
    var abortAfter: DurationArgument?

    @Option(
        "After this time, evict processors that have not paused, and wait until their sessions have ended.",
        in: .seconds(0)...DurationArgument.oneDay)
    var evictAfter: DurationArgument?

    @Flag(help: "Fail if another window is requested or open, instead of waiting for its end.")
    var failIfBusy = false

    @OptionGroup var commandLine: CommandOptions

    func validate() throws {
        try commandLine.requireCommand(usage: "zkrecipes exclusive run BASE -- COMMAND [ARGUMENT...]")
        guard (wait ? 1 : 0) + (abortAfter == nil ? 0 : 1) + (evictAfter == nil ? 0 : 1) <= 1 else {
            throw ValidationError("--wait, --abort-after and --evict-after exclude each other: use one of them")
        }
    }

    private var drain: DrainPolicy {
        if let abortAfter { return .abort(after: abortAfter.duration) }
        if let evictAfter { return .evict(after: evictAfter.duration) }
        return .wait
    }

    func run() async throws {
        let (base, id, reason, drain) = (base, id, reason ?? commandLine.command[0], drain)
        let windowed = commandLine.held
        try await windowed.runProgram(with: connection, monitoring, codes: Self.codes) { client, _ in
            let mode = try ExclusiveMode(client: client, path: base)
            let hasOpened = OneShot<Void>()
            try await alongside({ await Self.reportWait(for: mode, at: base, until: hasOpened) }) {
                let operation: @Sendable (ExclusiveWindow) async throws -> Void = { window in
                    hasOpened.set(())
                    if window.processors.isEmpty, window.evicted.isEmpty {
                        Output.notice("there are no processors at \(base): nothing is paused for the command")
                    }
                    let variables = [
                        "ZK_EXCLUSIVE_BASE": base, "ZK_SESSION_ID": client.state.session?.id.description,
                    ]
                    try await windowed.run(under: window, variables: variables)
                }
                if failIfBusy {
                    try await mode.tryWithWindow(id: id, reason: reason, drain: drain, operation)
                } else {
                    try await mode.withWindow(id: id, reason: reason, drain: drain, operation)
                }
            }
        }
    }

    /// Reports on standard error what the window waits for, after five seconds and whenever that changes.
    private static func reportWait(
        for mode: ExclusiveMode, at base: String, until hasOpened: OneShot<Void>
    ) async {
        var last: [String] = []
        while let _: Void = try? await unless(hasOpened, { try await Task.sleep(for: .seconds(5)) }) {
            guard let status = try? await mode.status(), hasOpened.value == nil else { continue }
            let lines = Array(StatusReport(base: base, status: status).lines.prefix(2))
            if lines != last { Output.notice(lines: "waiting; " + lines.joined(separator: "\n")) }
            last = lines
        }
    }

    private static let codes: [RecipeError.Code: Int32] = [.notAvailable: 120, .notPaused: 121, .lost: 122]
}
