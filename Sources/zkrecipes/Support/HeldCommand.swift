import ArgumentParser
import CommandLineSupport
import FoundationEssentials
import Glibc
import Synchronization
import SystemSupport
import ZooKeeper
import ZooKeeperRecipes

/// How a command ended; an error unless it succeeded.
enum CommandEnding: Error, Hashable, CustomStringConvertible {
    /// The command exited with this status; 0 is success.
    case exited(Int32)
    /// This signal ended the command.
    case signalled(Int32)

    /// The status that a shell reports: the exit status, or 128 plus the signal's number.
    var status: Int32 {
        switch self {
        case .exited(let status): status
        case .signalled(let number): 128 + number
        }
    }

    var description: String {
        switch self {
        case .exited(let status): "the command ended with exit status \(status)"
        case .signalled(let number): "the command was ended by signal \(number) (\(String(cString: strsignal(number))))"
        }
    }
}

/// The command that a program runs while it holds a grant, and the time that it has to end.
struct CommandOptions: ParsableArguments {
    @Option("The time from SIGTERM to SIGKILL.", in: .seconds(0)...DurationArgument.oneDay)
    var grace = DurationArgument.seconds(10)

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    var held: HeldCommand { HeldCommand(words: command, grace: grace.duration) }

    /// Checks that the command line contains a command.
    ///
    /// - Parameter usage: The correct usage, for the error message.
    /// - Throws: `ValidationError` if there is no command.
    func requireCommand(usage: String) throws {
        guard let name = command.first, !name.isEmpty else {
            throw ValidationError("there is no command after --: use \(usage)")
        }
    }
}

/// The error if a command could not be started.
struct CommandRefusal: Error, CustomStringConvertible {
    var name: String
    /// The error number of the system call.
    var code: Int32

    /// The status that a shell reports: 127 if the command does not exist, 126 if it cannot be run.
    var status: Int32 { code == ENOENT ? 127 : 126 }

    var description: String { "the command \"\(name)\" cannot be run: \(String(cString: strerror(code)))" }
}

/// The error if a command was ended at its deadline, whatever its exit status was.
struct DeadlineReached: Error, CustomStringConvertible {
    /// The exit status if a lock or a window was lost.
    static let status: Int32 = 122

    var description: String {
        "the command was ended at its deadline, because no server confirmed its lock, window or leadership in time, or "
            + "its guard was stopped: check the connection and the load of this host"
    }
}

/// A command that runs while this process holds a grant, such as a lock.
///
/// The command is ended if the grant is lost, and it never outlives this process.
final class HeldCommand: Sendable {
    private let words: [String]
    private let grace: Duration
    private let ended = Mutex<Int32?>(nil)
    /// Whether the end at the deadline was already reported.
    let hasReportedDeadline = Atomic(false)

    /// Creates a command, which ``run(under:variables:checkpoint:)`` starts.
    ///
    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - grace: The time from SIGTERM to SIGKILL, if the command has to end.
    init(words: [String], grace: Duration) {
        self.words = words
        self.grace = grace
    }

    /// The command's exit status; `nil` before it has ended.
    var status: Int32? { ended.withLock { $0 } }

    /// Records the end of the command, or that there has been none since its last start.
    func record(_ ending: CommandEnding?) { ended.withLock { $0 = ending?.status } }

    /// Reports immediately that the command was ended because the servers did not confirm the grant in time.
    ///
    /// The report is immediate because, without a server, the program ends up to one session timeout later. Any other
    /// loss is reported by its own error.
    private func reportDeadline(_ grant: some Grant) async {
        let clock = SystemMonotonicClock()
        if grant.validUntil == nil {
            let reason = try? await clock.run(until: clock.now + .seconds(1)) { try await grant.waitUntilLost() }
            guard reason == nil || reason == .some(.deadlinePassed) else { return }
        }
        hasReportedDeadline.store(true, ordering: .releasing)
        Output.report("\(DeadlineReached())")
    }

    /// Returns the exit status after an error, and reports the error unless it is the command's own.
    ///
    /// - Parameter otherwise: The status for an error about the lock or window; `nil` for 125.
    func exitStatus(of error: any Error, otherwise: Int32?) -> Int32 {
        switch error {
        case let error as CommandEnding: return error.status
        case is DeadlineReached:
            if !hasReportedDeadline.load(ordering: .acquiring) { Output.report("\(error)") }
            return DeadlineReached.status
        case is CancellationError: return status ?? 128 + (ProgramSignals.shared.endSignal.value ?? SIGTERM)
        default:
            // At a deadline, the loss was already reported when the command was ended.
            if !hasReportedDeadline.load(ordering: .acquiring) {
                Output.report(lines: ZKRecipes.explanation(of: error))
            }
            return (error as? CommandRefusal)?.status ?? otherwise ?? 125
        }
    }

    /// Returns the part of a help text about how commands are started and ended.
    ///
    /// - Parameters:
    ///   - held: What the program holds while the command runs, such as `mutex`.
    ///   - next: What happens next if the program loses it; `nil` if another holder receives the same.
    static func help(holding held: String, before next: String? = nil) -> String {
        """
        If the \(held) is lost, or if this program receives SIGTERM, the command and its descendants receive SIGTERM \
        and SIGCONT, and SIGKILL after --grace. A further signal ends the grace if it arrives 1s or more after the \
        first. \(HelpText.signals) SIGTSTP also stops the command. If this program is killed, the command and its \
        descendants are killed.

        Descendants are found in every process session and group while the command runs. When the command ends by \
        itself, its background processes continue, without the \(held). A process that runs as another user cannot be \
        signalled.

        If only this program is stopped (SIGSTOP) or frozen, the command has ended before \
        \(next ?? "the next holder starts"): the guard, a separate process, sends SIGTERM about a twentieth of the \
        session timeout before the \(held)'s validity ends, and SIGKILL at that instant, even if --grace would last \
        longer. If the guard or the whole machine is stopped as well, the command is ended when they continue. A write \
        that is already on its way may still arrive: a store that checks ZK_FENCING_TOKEN refuses it.

        The command runs in a process session of its own, without a terminal: /dev/tty cannot be opened, and standard \
        input is empty if it would be a terminal.
        """
    }

    /// The lines of a help text with the exit statuses that the commands have in common.
    static let statusHelp = """
          64      invalid option or argument
          125     another failure, such as no connection
          126     the command cannot be run
          127     the command does not exist
          128+N   signal N ended the command, or ended the wait for it
          other   the exit status of the command; 0 if it succeeded
        """

    /// The part of a help text about the variables that all commands receive.
    static func variablesHelp(holding held: String) -> String {
        """
        It also receives ZK_SESSION_ID, and the end of the \(held)'s validity at its start: ZK_VALID_UNTIL, as ISO 8601 \
        in UTC, and ZK_VALID_UNTIL_MONOTONIC, in nanoseconds of CLOCK_BOOTTIME. Heartbeats extend the validity. The \
        current one can be read at any time from the descriptor ZKRECIPES_VALIDITY_FD with pread, or from \
        /dev/fd/$ZKRECIPES_VALIDITY_FD: bytes 0 to 7 are its end in nanoseconds of CLOCK_BOOTTIME, or 0 if the \
        \(held) is not valid; bytes 8 to 15 are the fencing token. Both numbers have the machine's byte order.
        """
    }

    /// Returns the variables that describe a grant.
    ///
    /// - Parameter deadline: The end of the grant's validity.
    static func variables(of grant: some Grant, until deadline: MonotonicInstant) -> [String: String?] {
        // Not later than the deadline: the text has milliseconds.
        let left = max(.zero, deadline - SystemMonotonicClock().now - .milliseconds(1))
        let date = Date(timeIntervalSinceNow: left / .seconds(1))
        return [
            "ZK_FENCING_TOKEN": grant.fencingToken.description,
            "ZK_VALID_UNTIL": date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            "ZK_VALID_UNTIL_MONOTONIC": "\(deadline.nanoseconds)",
        ]
    }

    /// Runs an operation with a connected client, and exits with the status of the command that it runs.
    ///
    /// - Parameters:
    ///   - options: The options for the connection.
    ///   - monitoring: The option for metrics and probes.
    ///   - codes: The exit statuses for errors of the recipe. Other errors end the program with 125.
    ///   - operation: Acquires a grant and runs this command under it. It may add conditions to the readiness.
    /// - Throws: `ExitCode` if the command did not succeed; an error about an invalid argument.
    func runProgram(
        with options: ConnectionOptions, _ monitoring: MonitoringOptions, codes: [RecipeError.Code: Int32] = [:],
        _ operation: @escaping @Sendable (ZooKeeperClient, Readiness) async throws -> Void
    ) async throws {
        do {
            try Self.requireExecutable(words[0])
            try await monitoring.runProgram(with: options, operation: operation)
        } catch  where ZKRecipes.isRefusal(error) {
            throw error
        } catch {
            let status = exitStatus(of: error, otherwise: (error as? RecipeError).flatMap { codes[$0.code] })
            if status != 0 { throw ExitCode(status) }
        }
    }

    /// Checks that a command exists and can be run, before processors pause or other participants wait for it.
    ///
    /// Searches the directories of `PATH`, as `execvp` does.
    ///
    /// - Throws: ``CommandRefusal`` if the command does not exist or cannot be run.
    static func requireExecutable(_ name: String) throws(CommandRefusal) {
        let directories = getenv("PATH").map { String(cString: $0) } ?? "/bin:/usr/bin"
        let candidates =
            name.contains("/")
            ? [name]
            : directories.split(separator: ":", omittingEmptySubsequences: false)
                .map { $0.isEmpty ? name : "\($0)/\(name)" }
        var code = ENOENT
        for candidate in candidates {
            var info = stat()
            guard stat(candidate, &info) == 0 else { continue }
            if info.st_mode & S_IFMT != S_IFDIR, access(candidate, X_OK) == 0 { return }
            code = EACCES
        }
        throw CommandRefusal(name: name, code: code)
    }

    /// Runs the command until it ends; if the task is cancelled, terminates the command.
    ///
    /// A command may be run again, but not twice at the same time.
    ///
    /// - Parameters:
    ///   - grant: The grant that the command needs. Its token and validity are passed to the command.
    ///   - variables: Further variables for the command; `nil` removes an inherited one.
    ///   - checkpoint: Called with each line that the command writes to the file ZK_CHECKPOINT_FILE; of the lines that
    ///     arrive during a call, only with the last. If it is `nil`, there is no such file.
    /// - Throws: ``CommandEnding`` if the command did not succeed; ``CommandRefusal`` if it could not be started;
    ///   ``DeadlineReached`` if the guard ended it; `CancellationError` if it was terminated because of a cancellation.
    func run(
        under grant: some Grant, variables: [String: String?],
        checkpoint: (@Sendable (String) async throws -> Void)? = nil
    ) async throws {
        try Task.checkCancellation()
        record(nil)
        hasReportedDeadline.store(false, ordering: .releasing)
        var deadlines = CommandDeadlines(grant, grace: grace)
        let first = deadlines.next()
        let variables = variables.merging(Self.variables(of: grant, until: first.kill)) { $1 }
        let (lines, input) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1))
        let process = try ProgramSignals.shared.start { () throws(CommandRefusal) in
            try GuardedProcess(
                words: words, variables: variables, grace: grace, deadline: first,
                lines: checkpoint == nil ? .none : .checkpoints, token: grant.fencingToken,
                mayContinue: { grant.isValid })
        }
        defer { ProgramSignals.shared.forget(process) }
        // Not cancelled together with this task, because commands often write the last checkpoint after SIGTERM.
        let recorder = Task {
            for await line in lines {
                do { try await checkpoint?(line) } catch {
                    Output.report(lines: "a checkpoint was not recorded: \(ZKRecipes.explanation(of: error))")
                }
            }
        }
        // Not cancelled together with this task, because the command may finish its work as long as the grant is valid.
        let sender = Task { [deadlines] in await deadlines.send(to: process) }
        let result: Result<(ending: CommandEnding, isAtDeadline: Bool), any Error>
        do {
            result = .success(
                try await withTaskCancellationHandler {
                    try await onOwnThread { try process.awaitEnd { input.yield($0) } }
                } onCancel: {
                    process.send(.terminate)
                })
        } catch {
            result = .failure(error)
        }
        sender.cancel()
        await sender.value
        process.publish(nil, grant.fencingToken)
        input.finish()
        await recorder.value
        let (ending, isAtDeadline) = try result.get()
        record(ending)
        if isAtDeadline { await reportDeadline(grant) }
        try Task.checkCancellation()
        if isAtDeadline {
            // The command ends shortly before the deadline. If the grant is lost by then, the loss is the error.
            if let until = grant.validUntil { try await Task.sleep(until: until, clock: .continuous) }
            throw DeadlineReached()
        }
        guard ending.status == 0 else { throw ending }
    }
}

/// Computes the deadlines of a command from the validity of its grant.
struct CommandDeadlines: Sendable {
    private let grant: any Grant
    private let grace: Duration
    private let clock = SystemMonotonicClock()
    /// The longest validity so far, which is close to that of a new proof of the session.
    private var longest = Duration.zero
    private var last: GuardedProcess.Deadline?

    init(_ grant: some Grant, grace: Duration) {
        self.grant = grant
        self.grace = grace
    }

    /// The time from SIGTERM to SIGKILL at a deadline.
    private var notice: Duration { min(grace, longest / 20) }

    /// Returns the deadline for the current validity of the grant.
    ///
    /// If the grant is no longer valid, the deadline is now, because another participant may already have it.
    mutating func next() -> GuardedProcess.Deadline {
        let now = clock.now
        guard let left = grant.validUntil.map({ $0 - ContinuousClock.now }) else {
            return GuardedProcess.Deadline(terminate: now, kill: min(last?.kill ?? now, now + notice))
        }
        longest = max(longest, left)
        let deadline = GuardedProcess.Deadline(terminate: now + left - notice, kill: now + left)
        last = deadline
        return deadline
    }

    /// Sends each new deadline to the guard, until the task is cancelled or the grant is lost.
    func send(to process: GuardedProcess) async {
        var deadlines = self
        while grant.validUntil != nil {
            let next = deadlines.next()
            process.publish(grant.validUntil == nil ? nil : next.kill, grant.fencingToken)
            process.send(.deadline(next))
            let pause = max(deadlines.longest / 40, .milliseconds(1))
            guard (try? await clock.sleep(until: clock.now + pause)) != nil else { return }
        }
        process.publish(nil, grant.fencingToken)
        process.send(.deadline(deadlines.next()))
    }
}
