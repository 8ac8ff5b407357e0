import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// The arguments that select a task.
struct ScheduleTarget: ParsableArguments {
    @Argument(help: ScheduleCommand.pathHelp, transform: { try parsePath($0, name: "PATH", example: "/app/report") })
    var path: String

    @OptionGroup var connection: ConnectionOptions
}

/// The arguments that select a task and the operator.
struct ScheduleWishOptions: ParsableArguments {
    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: OperatorOptions

    var path: String { target.path }
}

/// A command that changes the operator commands of a task and prints all that are pending.
protocol ScheduleWishCommand: OperatorCommand {
    var options: ScheduleWishOptions { get }
    /// The ID of the operator in the records.
    var requesterID: String { get }
    /// What the command does, as a verb phrase.
    var action: String { get }

    func wish(_ control: ScheduledTaskControl) async throws
}

extension ScheduleWishCommand {
    /// Returns the discussion of a help text, with an example.
    fileprivate static func discussion(_ first: String, _ second: String? = nil) -> String {
        let example = second.map { HelpText.example(first, $0) } ?? HelpText.example(first)
        return "Prints all pending operator commands.\n\n\(example)\n\n\(ScheduleCommand.statusHelp)"
    }

    var requesterID: String { options.operation.signature }
    var connection: ConnectionOptions { options.target.connection }
    var operation: OperatorOptions { options.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let control = try ScheduledTaskControl(client: client, path: options.path, id: requesterID)
        // This fails if there is no task at the path.
        let pending = try await control.commands()
        return OperatorAction(description: action, unchanged: pending.lines) {
            try await wish(control)
            return OperatorAction.Outcome(results: try await control.commands().lines)
        }
    }
}

struct SchedulePauseCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Pauses the schedule. A run in progress continues.",
        discussion: discussion("zkrecipes schedule pause /app/report --reason \"migration until noon\""))

    @OptionGroup var options: ScheduleWishOptions

    func validate() throws {
        guard !options.operation.reason.isEmpty else {
            throw ValidationError(
                "--reason is empty: give a reason, which the records of skipped periods contain")
        }
    }

    var requesterID: String { options.operation.operatorID }
    var action: String { "pause the schedule of \(options.path); a run in progress continues" }

    func wish(_ control: ScheduledTaskControl) async throws {
        try await control.pause(reason: options.operation.reason)
    }
}

struct ScheduleResumeCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Resumes a paused schedule.",
        discussion: discussion("zkrecipes schedule resume /app/report"))

    @OptionGroup var options: ScheduleWishOptions

    var action: String { "resume the schedule of \(options.path)" }

    func wish(_ control: ScheduledTaskControl) async throws { try await control.resume() }
}

struct ScheduleNowCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "now", abstract: "Runs the task once, as soon as no other run is in progress.",
        discussion: discussion("zkrecipes schedule now /app/report"))

    @OptionGroup var options: ScheduleWishOptions

    var action: String { "run \(options.path) once, as soon as no other run is in progress" }

    func wish(_ control: ScheduledTaskControl) async throws { try await control.runNow() }
}

struct ScheduleSkipCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Skips the next period.",
        discussion: discussion("zkrecipes schedule skip /app/report"))

    @OptionGroup var options: ScheduleWishOptions

    var action: String { "skip the next period of \(options.path)" }

    func wish(_ control: ScheduledTaskControl) async throws { try await control.skipNext() }
}

struct ScheduleBackfillCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Runs the periods of a range that are not completed, oldest first.",
        discussion: discussion(
            "zkrecipes schedule backfill /app/report \\",
            "  --from 2026-03-01T00:00:00Z --through 2026-03-07T00:00:00Z"))

    @OptionGroup var options: ScheduleWishOptions
    @Option(
        parsing: .unconditional, help: "The earliest start of a period, such as 2026-03-07T12:00:00Z.",
        transform: parseInstant)
    var from: Timestamp
    @Option(
        parsing: .unconditional, help: "The latest start of a period.", transform: parseInstant)
    var through: Timestamp

    func validate() throws {
        guard from <= through else {
            let (from, through) = (from.secondsText, through.secondsText)
            throw ValidationError("--through is \(through), which is before --from, \(from)")
        }
    }

    var action: String {
        "run the periods of \(options.path) from \(from.secondsText) through \(through.secondsText) that are not "
            + "completed"
    }

    func wish(_ control: ScheduledTaskControl) async throws {
        try await control.backfill(from: from, through: through)
    }
}

struct ScheduleAnswerCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer", abstract: "Decides whether to rerun, resume or skip a run whose node died.",
        discussion: discussion("zkrecipes schedule answer /app/report --period 2026-03-07 --decision rerun"))

    @OptionGroup var options: ScheduleWishOptions
    @Option(help: "The ID of the run's period, which history prints.")
    var period: String
    @Option(help: "rerun, resume, or skip.", transform: parseWords)
    var decision: OperatorCommands.Decision

    func validate() throws {
        guard !period.isEmpty else {
            throw ValidationError("--period is empty; `zkrecipes schedule history` prints the IDs")
        }
        guard !period.contains("/") else {
            throw ValidationError(
                "--period \"\(period)\" is not the ID of a period; `zkrecipes schedule history` prints the IDs")
        }
    }

    var action: String { "decide \(decision.rawValue) for the run of \(period) at \(options.path)" }

    func wish(_ control: ScheduledTaskControl) async throws { try await control.decide(period, decision) }
}

struct ScheduleHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Prints the records of a task's runs, by the start of their periods.",
        discussion: """
            Prints one line per run: period, state, node, attempt, fencing token, duration, and remarks.

            \(HelpText.example("zkrecipes schedule history /app/report"))

            \(ScheduleCommand.statusHelp)
            """)

    @OptionGroup var target: ScheduleTarget

    func run() async throws {
        let path = target.path
        let runs = try await runProgram(with: target.connection) { client in
            let runs = try await ScheduledTaskHistory(client: client, path: path).runs()
            // No runs: reading the operator commands fails if there is no task at the path.
            if runs.isEmpty { _ = try await ScheduledTaskControl(client: client, path: path, id: "").commands() }
            return runs
        }
        await Output.results(runs.map(\.line))
    }
}

extension RunRecord {
    /// The record in one line, for operators.
    var line: String {
        var columns = [
            period, state.rawValue, participantID, "attempt \(attempt)", "token \(token?.description ?? "-")",
        ]
        if let duration { columns.append("\(duration.milliseconds) ms") }
        if let window {
            let resumed = window.resumed.map { ", resumed after \($0.milliseconds) ms" } ?? ""
            let processors = window.processors == 1 ? "1 processor" : "\(window.processors) processors"
            columns.append(
                "\(processors) paused within \(window.drainDuration.milliseconds) ms"
                    + (window.slowestProcessor.map { ", \($0) last" } ?? "") + resumed)
        }
        columns += previousAttempts.map { "attempt \($0.number) by \($0.participantID): \($0.reason)" }
        columns += [message, note].compactMap(\.self)
        return columns.joined(separator: "  ")
    }
}

extension OperatorCommands {
    /// The pending commands, one in each line.
    var lines: [String] {
        var lines: [String] = []
        if let pause { lines.append("paused by \(pause.requestedBy): \(pause.reason)") }
        lines += runRequests.map { "run now, requested by \($0)" }
        lines += skipRequests.map { "skip next, requested by \($0)" }
        if let backfill {
            let (from, through) = (backfill.from.secondsText, backfill.through.secondsText)
            lines.append("backfill from \(from) through \(through), requested by \(backfill.requestedBy)")
        }
        lines += decisions.sorted { $0.key < $1.key }.map { period, decision in
            "\(period): \(decision.rawValue)" + (decisionOperators[period].map { ", requested by \($0)" } ?? "")
        }
        return lines.isEmpty ? ["no operator commands are pending"] : lines
    }
}
