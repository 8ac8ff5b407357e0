import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

struct ScheduleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule",
        abstract: "Runs a task once per period on one of several nodes, or controls it.",
        discussion: """
            \(HelpText.example(
                "zkrecipes schedule run /app/report --id web-1 --cron '0 2 * * *' -- ./report.sh",
                "zkrecipes schedule history /app/report"))

            \(HelpText.exitStatus([
                "0": "success, or a signal ended the program",
                "1": "failure, such as no connection, or there is no task at PATH",
                "64": "invalid option or argument",
                "126": "`run` only: the command cannot be run",
                "127": "`run` only: the command does not exist",
            ]))
            """,
        subcommands: [
            ScheduleNextCommand.self, ScheduleRunCommand.self, ScheduleHistoryCommand.self, SchedulePauseCommand.self,
            ScheduleResumeCommand.self, ScheduleNowCommand.self, ScheduleSkipCommand.self,
            ScheduleBackfillCommand.self, ScheduleWithdrawCommand.self, ScheduleAnswerCommand.self,
        ])

    /// The exit statuses of the subcommands that run no command, for a help text.
    static let statusHelp = HelpText.exitStatus([
        "0": "success",
        "1": "there is no task at PATH, there is no connection, or a server refused",
        "64": "invalid option or argument",
    ])

    /// The help for PATH in each subcommand.
    static let pathHelp: ArgumentHelp = "The znode of the task, such as /app/report."
}

struct ScheduleNextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next",
        abstract: "Prints the next periods of a cron expression.",
        discussion: """
            Prints one line per period: its ID, its start in local time and in UTC, and the effect of daylight saving \
            time. It needs no connection.

            \(HelpText.example("zkrecipes schedule next '30 2 * * *' --tz Europe/Berlin --count 3"))

            \(HelpText.exitStatus([
                "0": "printed",
                "1": "the output could not be written",
                "64": "invalid option or argument",
            ]))
            """)

    @Argument(help: ArgumentHelp(stringLiteral: ScheduleOptions.cronHelp))
    var expression: String

    @Option(name: .customLong("tz"), help: "The time zone, such as Europe/Berlin.")
    var zone = "UTC"

    @Option(
        parsing: .unconditional,
        help: "The first day, such as 2026-03-07, or an instant, such as 2026-03-07T12:00:00Z. (default: now)")
    var from: String?

    @Option(parsing: .unconditional, help: "The number of periods.")
    var count = 5

    func validate() throws {
        guard count > 0 else { throw ValidationError("--count is \(count); it must be at least 1") }
        _ = try question()
    }

    func run() async throws { await Output.results(try sequence()) }

    /// The lines that the command prints.
    func lines() throws -> [String] { try Array(sequence()) }

    /// The lines, of which each is computed when it is needed.
    private func sequence() throws -> some Sequence<String> {
        let (schedule, clock, start) = try question()
        let periods = Swift.sequence(state: start) { last -> Schedule.Period? in
            guard let period = schedule.next(after: last) else { return nil }
            last = period.start
            return period
        }
        return periods.prefix(count).lazy.map { period in
            let columns = [period.id, clock.text(period.start), period.start.secondsText]
            return (columns + [period.note].compactMap(\.self)).joined(separator: "  ")
        }
    }

    /// The schedule, its zone, and the instant after which the first period begins.
    private func question() throws -> (schedule: Schedule, clock: LocalClock, start: Timestamp) {
        let schedule = try cronSchedule(expression, named: "the expression", in: zone)
        let clock = try LocalClock(zone: zone)
        do { return (schedule, clock, try start(clock)) } catch { throw ValidationError("--from: \(error)") }
    }

    private func start(_ clock: LocalClock) throws(ScheduleError) -> Timestamp {
        guard let from else { return .now }
        if from.contains("T") { return try Timestamp(scheduleText: from) }
        // A period that starts at the beginning of the day belongs to that day.
        return try clock.beginning(ofDay: from) - .seconds(1)
    }
}
