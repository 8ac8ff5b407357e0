import ArgumentParser
import CommandLineSupport
import Synchronization
import ZooKeeper
import ZooKeeperRecipes

struct ExclusiveRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a command while every processor is paused.",
        usage: "zkrecipes exclusive run BASE [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command gets the fencing token of its window in ZK_FENCING_TOKEN and BASE in ZK_EXCLUSIVE_BASE.

            \(HeldCommand.help(holding: "window"))

            Exit status: 120 another window is open (with --fail-if-busy); 121 not every processor has paused (with \
            --abort-after); 122 the window was lost; \(HeldCommand.statusHelp)
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "What the window is for, shown by status; the command's name by default.")
    var reason: String?

    @Flag(help: "Wait for processors that do not pause, however long it takes. This is the default.")
    var wait = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Give up after so many seconds when not every processor has paused; all of them resume.",
            valueName: "seconds"), transform: seconds)
    var abortAfter: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "After so many seconds evict processors that have not paused, and wait until their sessions have ended.",
            valueName: "seconds"), transform: seconds)
    var proceedAfter: Double?

    @Flag(help: "Fail when another window is open, rather than wait for its end.")
    var failIfBusy = false

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The seconds from SIGTERM to SIGKILL.", valueName: "seconds"),
        transform: seconds)
    var grace = 10.0

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        try HeldCommand.validate(
            words: command, grace: grace, usage: "zkrecipes exclusive run BASE -- COMMAND [ARGUMENT...]")
        guard (wait ? 1 : 0) + (abortAfter == nil ? 0 : 1) + (proceedAfter == nil ? 0 : 1) <= 1 else {
            throw ValidationError("Give one of --wait, --abort-after and --proceed-after.")
        }
    }

    private var drain: DrainPolicy {
        if let abortAfter { return .abort(after: .seconds(abortAfter)) }
        if let proceedAfter { return .proceed(after: .seconds(proceedAfter)) }
        return .wait
    }

    func run() async throws {
        let (base, reason, drain) = (base, reason ?? command[0], drain)
        let windowed = HeldCommand(words: command, grace: .seconds(grace))
        let status: Int32
        do {
            try HeldCommand.requireExecutable(command[0])
            try await runProgram(with: connection) { client in
                let mode = try ExclusiveMode(client: client, path: base)
                let hasOpened = OneShot<Void>()
                try await alongside({ await Self.reportWait(for: mode, at: base, until: hasOpened) }) {
                    let operation: @Sendable (ExclusiveWindow) async throws -> Void = { window in
                        hasOpened.set(())
                        if window.participants.isEmpty {
                            Output.note(
                                "zkrecipes: no processor takes part at \(base): nothing is paused for the command")
                        }
                        try await windowed.run(under: window, variables: ["ZK_EXCLUSIVE_BASE": base])
                    }
                    if failIfBusy {
                        try await mode.tryWithWindow(reason: reason, drain: drain, operation)
                    } else {
                        try await mode.withWindow(reason: reason, drain: drain, operation)
                    }
                }
            }
            status = 0
        } catch  where ZKRecipes.isRefusal(error) {
            throw error
        } catch {
            status = windowed.exitStatus(
                of: error, otherwise: (error as? RecipeError).flatMap { Self.codes[$0.code] })
        }
        if status != 0 { throw ExitCode(status) }
    }

    /// Reports on standard error what the window waits for: after five seconds, and later when that has changed.
    private static func reportWait(
        for mode: ExclusiveMode, at base: String, until hasOpened: OneShot<Void>
    ) async {
        var last: [String] = []
        while let _: Void = try? await unless(hasOpened, { try await Task.sleep(for: .seconds(5)) }) {
            guard let status = try? await mode.status(), hasOpened.value == nil else { continue }
            let lines = Array(StatusReport(base: base, status: status).lines.prefix(2))
            if lines != last { Output.note(lines: "zkrecipes: waiting; " + lines.joined(separator: "\n")) }
            last = lines
        }
    }

    private static let codes: [RecipeError.Code: Int32] = [.notAvailable: 120, .notPaused: 121, .lost: 122]
}
