import ArgumentParser
import CommandLineSupport
import Foundation
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// Which task.
struct ScheduleTarget: ParsableArguments {
    @Argument(help: "The task's znode.", transform: { try parsePath($0, name: "PATH", example: "/app/settle") })
    var path: String

    @OptionGroup var connection: ConnectionOptions
}

/// Which task, and who wants something of it.
struct ScheduleWishOptions: ParsableArguments {
    @OptionGroup var target: ScheduleTarget

    @Option(name: .customLong("by"), help: "Who does it, for the records.")
    var operatorName = NSUserName()
}

/// A command that changes what is wanted of a task, and prints what is wanted then.
protocol ScheduleWishCommand: AsyncParsableCommand, Sendable {
    var options: ScheduleWishOptions { get }

    func wish(_ control: ScheduledTaskControl) async throws
}

extension ScheduleWishCommand {
    func run() async throws {
        let (path, name) = (options.target.path, options.operatorName)
        let wishes = try await runProgram(with: options.target.connection) { client in
            let control = try ScheduledTaskControl(client: client, path: path, id: name)
            try await wish(control)
            return try await control.wishes()
        }
        for line in wishes.lines { Output.line(line) }
    }
}

struct SchedulePauseCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Pauses the schedule. A run in progress continues.",
        discussion: ScheduleCommand.statusHelp)

    @OptionGroup var options: ScheduleWishOptions
    @Option(help: "Why.")
    var note: String

    func validate() throws {
        guard !note.isEmpty else { throw ValidationError("--note is empty; say why.") }
    }

    func wish(_ control: ScheduledTaskControl) async throws { try await control.pause(reason: note) }
}

struct ScheduleResumeCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Ends a pause.", discussion: ScheduleCommand.statusHelp)

    @OptionGroup var options: ScheduleWishOptions

    func wish(_ control: ScheduledTaskControl) async throws { try await control.resume() }
}

struct ScheduleNowCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "now", abstract: "Runs the task once, as soon as no other run is in progress.",
        discussion: ScheduleCommand.statusHelp)

    @OptionGroup var options: ScheduleWishOptions

    func wish(_ control: ScheduledTaskControl) async throws { try await control.runNow() }
}

struct ScheduleSkipCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Leaves the next period out.", discussion: ScheduleCommand.statusHelp)

    @OptionGroup var options: ScheduleWishOptions

    func wish(_ control: ScheduledTaskControl) async throws { try await control.skipNext() }
}

struct ScheduleBackfillCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Runs the periods of a range that are not completed, the oldest first.",
        discussion: ScheduleCommand.statusHelp)

    @OptionGroup var options: ScheduleWishOptions
    @Option(
        parsing: .unconditional, help: "Periods that begin at this instant or later, such as 2026-03-07T12:00:00Z.",
        transform: parseInstant)
    var from: Date
    @Option(
        parsing: .unconditional, help: "Periods that begin at this instant or earlier.", transform: parseInstant)
    var through: Date

    func validate() throws {
        guard from <= through else {
            let (from, through) = (UniversalTime.text(from), UniversalTime.text(through))
            throw ValidationError("--through is \(through), before --from, which is \(from).")
        }
    }

    func wish(_ control: ScheduledTaskControl) async throws {
        try await control.backfill(from: from, through: through)
    }
}

struct ScheduleAnswerCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer", abstract: "Decides what becomes of a run whose runner died.",
        discussion: ScheduleCommand.statusHelp)

    @OptionGroup var options: ScheduleWishOptions
    @Option(help: "The run's period.")
    var period: String
    @Option(help: "rerun, resume, or skip.", transform: parseWords)
    var decision: OperatorCommands.Answer

    func validate() throws {
        guard !period.isEmpty else { throw ValidationError("--period is empty; `history` lists them.") }
        guard !period.contains("/") else {
            throw ValidationError("--period is \"\(period)\", which names no period; `history` lists them.")
        }
    }

    func wish(_ control: ScheduledTaskControl) async throws { try await control.answer(period, decision) }
}

struct ScheduleHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Lists the records of a task's runs, the newest last.",
        discussion: """
            Each line: period, state, node, attempt, token, duration, and what there is to explain.

            \(ScheduleCommand.statusHelp)
            """)

    @OptionGroup var target: ScheduleTarget

    func run() async throws {
        let path = target.path
        let runs = try await runProgram(with: target.connection) { client in
            let runs = try await ScheduledTaskHistory(client: client, path: path).runs()
            // A path with no task has no runs either.
            if runs.isEmpty { _ = try await ScheduledTaskControl(client: client, path: path, id: "").wishes() }
            return runs
        }
        for run in runs { Output.line(run.line) }
    }
}

extension RunRecord {
    fileprivate var line: String {
        var columns = [period, state.rawValue, node, "attempt \(attempt)", "token \(token?.description ?? "-")"]
        if let duration { columns.append("\(duration.milliseconds) ms") }
        if let window {
            let resumed = window.resumed.map { ", resumed after \($0.milliseconds) ms" } ?? ""
            let processors = window.processors == 1 ? "1 processor" : "\(window.processors) processors"
            columns.append(
                "\(processors) paused within \(window.drained.milliseconds) ms"
                    + (window.slowest.map { ", \($0) last" } ?? "") + resumed)
        }
        columns += previous.map { "attempt \($0.number) by \($0.node): \($0.reason)" }
        columns += [explanation, remark].compactMap(\.self)
        return columns.joined(separator: "  ")
    }
}

extension OperatorCommands {
    fileprivate var lines: [String] {
        var lines: [String] = []
        if let pause { lines.append("paused by \(pause.by): \(pause.reason)") }
        lines += requests.map { "run now, asked for by \($0)" }
        lines += skips.map { "skip next, asked for by \($0)" }
        if let backfill {
            let (from, through) = (UniversalTime.text(backfill.from), UniversalTime.text(backfill.through))
            lines.append("backfill from \(from) through \(through), asked for by \(backfill.by)")
        }
        lines += answers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.rawValue)" }
        return lines.isEmpty ? ["nothing is wanted"] : lines
    }
}
