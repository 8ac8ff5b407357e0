import ArgumentParser
import CommandLineSupport
import Foundation
import ZooKeeperRecipes
import ZooKeeperScheduling

struct ScheduleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule",
        abstract: "Runs a task once a period on one of several nodes, and shows what it did.",
        subcommands: [
            ScheduleNextCommand.self, ScheduleRunCommand.self, ScheduleHistoryCommand.self, SchedulePauseCommand.self,
            ScheduleResumeCommand.self, ScheduleNowCommand.self, ScheduleSkipCommand.self,
            ScheduleBackfillCommand.self, ScheduleAnswerCommand.self,
        ])

    /// What the exit statuses of the subcommands mean that run no command.
    static let statusHelp = """
        Exit status: 0 done; 1 the ensemble cannot be reached, or it refused; 64 an option or an argument is not valid.
        """
}

struct ScheduleNextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next",
        abstract: "Lists the next periods of a cron expression.",
        discussion: """
            Each line: the period's id, when it begins there and in UTC, and what daylight saving has changed.

            Exit status: 0 all lines were printed; 1 they could not be written; 64 an option or an argument is not valid.
            """)

    @Argument(help: ArgumentHelp(stringLiteral: ScheduleOptions.cronHelp))
    var expression: String

    @Option(name: .customLong("tz"), help: "The time zone, such as Europe/Berlin.")
    var zone = "UTC"

    @Option(
        parsing: .unconditional,
        help: "A day, such as 2026-03-07, at its beginning in the zone; or an instant, such as 2026-03-07T12:00:00Z.")
    var from: String?

    @Option(parsing: .unconditional, help: "How many periods.")
    var count = 5

    func validate() throws {
        guard count > 0 else { throw ValidationError("--count is \(count); it is at least 1") }
        _ = try question()
    }

    func run() async throws {
        try forEachLine { Output.line($0) }
    }

    /// The lines that the command prints.
    func lines() throws -> [String] {
        var lines: [String] = []
        try forEachLine { lines.append($0) }
        return lines
    }

    /// Calls a closure with each line as soon as it is known.
    private func forEachLine(_ body: (String) -> Void) throws {
        var (schedule, clock, last) = try question()
        for _ in 0..<count {
            guard let period = schedule.next(after: last) else { return }
            let columns = [period.id, clock.text(period.start), UniversalTime.text(period.start)]
            body((columns + [period.remark].compactMap(\.self)).joined(separator: "  "))
            last = period.start
        }
    }

    /// The schedule, its zone, and the instant after which the first period begins.
    private func question() throws -> (schedule: Schedule, clock: LocalClock, start: Date) {
        let (schedule, clock): (Schedule, LocalClock)
        do {
            (schedule, clock) = (try Schedule.cron(expression, in: zone), try LocalClock(zone: zone))
        } catch {
            throw ValidationError("\(error)")
        }
        do { return (schedule, clock, try start(clock)) } catch { throw ValidationError("--from: \(error)") }
    }

    private func start(_ clock: LocalClock) throws(ScheduleError) -> Date {
        guard let from else { return Date() }
        if from.contains("T") { return try UniversalTime(parsing: from).date }
        // What begins with the day belongs to it.
        return try clock.beginning(ofDay: from).addingTimeInterval(-1)
    }
}
