import ArgumentParser
import Foundation
import ZooKeeper
import ZooKeeperRecipes

/// Which task, and who asks.
struct ScheduleTarget: ParsableArguments {
    @Argument(help: "The task's znode.", transform: { try parsePath($0, name: "PATH", example: "/app/settle") })
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Option(name: .customLong("by"), help: "Who does it, for the records.")
    var operatorName = NSUserName()

    /// Changes what is wanted, and prints what is wanted then.
    func change(_ operation: @escaping @Sendable (ScheduledTaskControl) async throws -> Void) async throws {
        let (path, name) = (path, operatorName)
        let wishes = try await runProgram(with: connection) { client in
            let control = try ScheduledTaskControl(path: path, client: client, operator: name)
            try await operation(control)
            return try await control.wishes()
        }
        for line in wishes.lines { Output.line(line) }
    }
}

struct SchedulePauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Has nothing begun until it is resumed; a run that is on goes on.")

    @OptionGroup var target: ScheduleTarget
    @Option(help: "Why.")
    var note: String

    func run() async throws {
        let note = note
        try await target.change { try await $0.pause(note: note) }
    }
}

struct ScheduleResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "Ends a pause.")

    @OptionGroup var target: ScheduleTarget

    func run() async throws { try await target.change { try await $0.resume() } }
}

struct ScheduleNowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "now", abstract: "Has the task run once, as soon as no run is on.")

    @OptionGroup var target: ScheduleTarget

    func run() async throws { try await target.change { try await $0.runNow() } }
}

struct ScheduleSkipCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "skip", abstract: "Leaves the next period out.")

    @OptionGroup var target: ScheduleTarget

    func run() async throws { try await target.change { try await $0.skipNext() } }
}

struct ScheduleBackfillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Runs the periods of a range that are not completed, the oldest first.")

    @OptionGroup var target: ScheduleTarget
    @Option(help: "Periods that begin at this instant or later, such as 2026-03-07T12:00:00Z.")
    var from: String
    @Option(help: "Periods that begin at this instant or earlier.")
    var through: String

    func run() async throws {
        guard let from = try? Date(from, strategy: .iso8601), let through = try? Date(through, strategy: .iso8601),
            from <= through
        else {
            throw ValidationError("--from and --through are instants, in order, such as 2026-03-07T12:00:00Z.")
        }
        try await target.change { try await $0.backfill(from: from, through: through) }
    }
}

struct ScheduleAnswerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer", abstract: "Decides what becomes of a run whose runner died.")

    @OptionGroup var target: ScheduleTarget
    @Option(help: "The run's period.")
    var period: String
    @Option(help: "rerun, resume, or skip.", transform: parseWords)
    var decision: TaskWishes.Answer

    func run() async throws {
        let (period, decision) = (period, decision)
        try await target.change { try await $0.answer(period, decision) }
    }
}

struct ScheduleHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Lists the records of a task's runs, the newest last.",
        discussion: "Each line: period, state, node, attempt, token, duration, and what there is to explain.")

    @OptionGroup var target: ScheduleTarget

    func run() async throws {
        let path = target.path
        let runs = try await runProgram(with: target.connection) { client in
            try await ScheduledTaskHistory(path: path, client: client).runs()
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
            columns.append(
                "\(window.processors) processors paused within \(window.drained.milliseconds) ms"
                    + (window.slowest.map { ", \($0) last" } ?? "") + resumed)
        }
        columns += previous.map { "attempt \($0.number) by \($0.node): \($0.reason)" }
        columns += [explanation, remark].compactMap(\.self)
        return columns.joined(separator: "  ")
    }
}

extension TaskWishes {
    fileprivate var lines: [String] {
        var lines: [String] = []
        if let pause { lines.append("paused by \(pause.by): \(pause.note)") }
        lines += requests.map { "run now, asked for by \($0)" }
        lines += skips.map { "skip next, asked for by \($0)" }
        if let backfill {
            let (from, through) = (backfill.from.formatted(.iso8601), backfill.through.formatted(.iso8601))
            lines.append("backfill from \(from) through \(through), asked for by \(backfill.by)")
        }
        lines += answers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.rawValue)" }
        return lines.isEmpty ? ["nothing is wanted"] : lines
    }
}
