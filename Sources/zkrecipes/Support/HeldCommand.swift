import ArgumentParser
import CommandLineSupport
import Glibc
import Synchronization
import SystemSupport
import ZooKeeper
import ZooKeeperRecipes

/// How a command ended, which is an error unless it succeeded.
enum CommandEnding: Error, Hashable, CustomStringConvertible {
    /// It returned this status, 0 for success.
    case exited(Int32)
    /// It was ended by this signal.
    case signalled(Int32)

    /// The status that a shell reports: the exit status, or 128 and the signal's number.
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

/// A command that could not be started.
struct CommandRefusal: Error, CustomStringConvertible {
    var name: String
    /// The error of the system call.
    var code: Int32

    /// The status that a shell reports: 127 if there is no such command, 126 if it cannot be run.
    var status: Int32 { code == ENOENT ? 127 : 126 }

    var description: String { "the command \"\(name)\" cannot be run: \(String(cString: strerror(code)))" }
}

/// A command was ended at its deadline, whatever it made of that.
struct DeadlineReached: Error, CustomStringConvertible {
    /// The status for something that was lost.
    static let status: Int32 = 122

    var description: String {
        "the command was ended at its deadline: no server confirmed in time what it ran under, or its guard was stopped"
    }
}

/// A command that runs while this process holds something: it is ended when that is lost, and it never outlives this
/// process.
final class HeldCommand: Sendable {
    private let words: [String]
    private let grace: Duration
    private let ended = Mutex<Int32?>(nil)
    /// Whether the end at a deadline was reported.
    let hasReportedDeadline = Atomic(false)

    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - grace: The time from SIGTERM to SIGKILL, when it has to end.
    init(words: [String], grace: Duration) {
        self.words = words
        self.grace = grace
    }

    /// How it ended, once it has.
    var status: Int32? { ended.withLock { $0 } }

    /// Reports at once that the command was ended because the servers did not confirm the grant in time.
    ///
    /// Without a server it takes up to a session timeout until the program ends. Any other loss is reported by its own error.
    private func reportDeadline(_ grant: some Grant) async {
        let clock = SystemMonotonicClock()
        if grant.validUntil == nil {
            let reason = try? await clock.run(until: clock.now + .seconds(1)) { try await grant.waitUntilLost() }
            guard reason == nil || reason == .some(.deadlinePassed) else { return }
        }
        hasReportedDeadline.store(true, ordering: .releasing)
        Output.note("zkrecipes: \(DeadlineReached())")
    }

    /// Returns the status to end with after an error, and explains an error that is not the command's own.
    ///
    /// - Parameter otherwise: The status for an error about what was held; `nil` for 125.
    func exitStatus(of error: any Error, otherwise: Int32?) -> Int32 {
        switch error {
        case let error as CommandEnding: return error.status
        case is DeadlineReached:
            if !hasReportedDeadline.load(ordering: .acquiring) { Output.note("zkrecipes: \(error)") }
            return DeadlineReached.status
        case is CancellationError: return status ?? 128 + (ProgramSignals.shared.endSignal.value ?? SIGTERM)
        default:
            // The loss was reported when the command was ended.
            if !hasReportedDeadline.load(ordering: .acquiring) { Output.note("zkrecipes: \(error)") }
            return (error as? CommandRefusal)?.status ?? otherwise ?? 125
        }
    }

    /// Explains in a help text how commands are started and ended.
    ///
    /// - Parameter held: What the command runs under.
    static func help(holding held: String) -> String {
        """
        If the \(held) is lost, or this program gets SIGTERM, SIGINT, SIGQUIT or SIGHUP, the command and its \
        descendants get SIGTERM and SIGCONT, and SIGKILL after --grace. Another signal, a second later or more, ends \
        the grace. SIGINT, SIGQUIT and SIGHUP have no effect if they were ignored when this program was started, as \
        with nohup. SIGTSTP also stops the command. If this program is killed, the command and its descendants are \
        killed.

        Descendants are found in whichever session or process group they are, while the command runs. When it ends by \
        itself, processes that it has left in the background go on, without the \(held). A process that runs as \
        another user cannot be signalled.

        If this program alone is stopped (SIGSTOP) or frozen, the command does not run beside the next holder: the guard, a \
        process of its own, sends SIGTERM about a twentieth of the session timeout before the \(held) could be given away, and \
        SIGKILL at that instant, even if --grace would last longer. If the guard or the whole machine is stopped as well, the \
        command is ended when they continue. A write that is on its way at that instant may still arrive: a store that checks \
        ZK_FENCING_TOKEN refuses it.

        The command runs in a session of its own, without a terminal: /dev/tty cannot be opened, and standard input is \
        empty if it would be a terminal.
        """
    }

    /// The exit statuses that the commands have in common, for a help text.
    static let statusHelp = """
        64 an option or an argument is not valid; 125 another failure, such as no connection; 126 the command cannot be \
        run; 127 there is no such command; else the command's own, or 128 and the number of the signal that ended it or that \
        ended the wait for it.
        """

    /// Throws what is wrong with a command or a grace from the command line.
    ///
    /// - Parameter usage: How it would be right.
    static func validate(words: [String], grace: Double, usage: String) throws {
        guard let name = words.first, !name.isEmpty else {
            throw ValidationError("There is no command: \(usage).")
        }
        try validate(seconds: grace, option: "--grace")
    }

    /// Throws what is wrong with a time from the command line.
    static func validate(seconds: Double?, option: String) throws {
        guard let seconds, !(0...86_400).contains(seconds) else { return }
        throw ValidationError("\(option) is \(seconds); it must be from 0 to 86400 seconds.")
    }

    /// Checks that there is such a command, before processors pause or others wait for it.
    ///
    /// Searches the directories of `PATH`, as `execvp` does.
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

    /// Runs the command until it ends; in a cancelled task it is terminated.
    ///
    /// - Parameters:
    ///   - grant: What the command runs under. Its token is passed as ZK_FENCING_TOKEN.
    ///   - variables: Further variables for the command; `nil` removes an inherited one.
    ///   - checkpoint: Is called with each line that the command writes to the file ZK_CHECKPOINT_FILE; of lines that
    ///     arrive in the meantime, only the last. Without it there is no such file.
    /// - Throws: ``CommandEnding`` if the command did not succeed; ``CommandRefusal`` if it could not be started;
    ///   ``DeadlineReached`` if the guard has ended it; `CancellationError` if it was terminated here.
    func run(
        under grant: some Grant, variables: [String: String?],
        checkpoint: (@Sendable (String) async throws -> Void)? = nil
    ) async throws {
        try Task.checkCancellation()
        var variables = variables
        variables["ZK_FENCING_TOKEN"] = grant.fencingToken.description
        var deadlines = CommandDeadlines(grant, grace: grace)
        let first = deadlines.next()
        let (lines, input) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1))
        let process = try ProgramSignals.shared.start { () throws(CommandRefusal) in
            try GuardedProcess(
                words: words, variables: variables, grace: grace, deadline: first, takesCheckpoints: checkpoint != nil,
                mayContinue: { grant.isValid })
        }
        defer { ProgramSignals.shared.forget(process) }
        // Not cancelled with this task: the last checkpoint is often written after SIGTERM.
        let recorder = Task {
            for await line in lines {
                do { try await checkpoint?(line) } catch {
                    Output.note("zkrecipes: a checkpoint was not recorded: \(error)")
                }
            }
        }
        // Not cancelled with this task: while the command winds down, it may do so as long as the grant is valid.
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
        input.finish()
        await recorder.value
        let (ending, isAtDeadline) = try result.get()
        ended.withLock { $0 = ending.status }
        if isAtDeadline { await reportDeadline(grant) }
        try Task.checkCancellation()
        if isAtDeadline {
            // A little before it: if it is lost, that is what is told.
            if let until = grant.validUntil { try await Task.sleep(until: until, clock: .continuous) }
            throw DeadlineReached()
        }
        guard ending.status == 0 else { throw ending }
    }
}

/// The deadlines of a command that runs under a grant.
struct CommandDeadlines: Sendable {
    private let grant: any Grant
    private let grace: Duration
    private let clock = SystemMonotonicClock()
    /// The longest validity that was seen, about that of the session.
    private var longest = Duration.zero
    private var last: GuardedProcess.Deadline?

    init(_ grant: some Grant, grace: Duration) {
        self.grant = grant
        self.grace = grace
    }

    /// The time from SIGTERM to SIGKILL at a deadline.
    private var notice: Duration { min(grace, longest / 20) }

    /// The deadline by what is known now.
    ///
    /// A grant that is not valid any more may be somebody else's already.
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

    /// Tells the guard of each new deadline, until cancelled or until the grant is lost.
    func send(to process: GuardedProcess) async {
        var deadlines = self
        while grant.validUntil != nil {
            process.send(.deadline(deadlines.next()))
            let pause = max(deadlines.longest / 40, .milliseconds(1))
            guard (try? await clock.sleep(until: clock.now + pause)) != nil else { return }
        }
        process.send(.deadline(deadlines.next()))
    }
}
