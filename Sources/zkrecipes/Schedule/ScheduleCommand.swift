import ArgumentParser
import Foundation
import ZooKeeperRecipes

struct ScheduleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedule",
        abstract: "Runs a task once a period on one of several nodes, and shows what it did.",
        subcommands: [
            ScheduleNextCommand.self, ScheduleRunCommand.self, ScheduleHistoryCommand.self, SchedulePauseCommand.self,
            ScheduleResumeCommand.self, ScheduleNowCommand.self, ScheduleSkipCommand.self,
            ScheduleBackfillCommand.self, ScheduleAnswerCommand.self,
        ])
}

struct ScheduleNextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next",
        abstract: "Lists the next periods of a cron expression.",
        discussion: "Each line: the period's id, when it begins there and in UTC, and what daylight saving has changed."
    )

    @Argument(help: "Five fields: minute, hour, day of the month, month, day of the week.")
    var expression: String

    @Option(name: .customLong("tz"), help: "The time zone, such as Europe/Berlin.")
    var zone = "UTC"

    @Option(
        help: "A day, such as 2026-03-07, at its beginning in the zone; or an instant, such as 2026-03-07T12:00:00Z.")
    var from: String?

    @Option(help: "How many periods.")
    var count = 5

    func validate() throws {
        guard count > 0 else { throw ValidationError("--count is \(count); it is at least 1") }
        _ = try schedule()
        _ = try start()
    }

    func run() async throws {
        for line in try lines() { Output.line(line) }
    }

    func lines() throws -> [String] {
        let schedule = try schedule()
        var last = try start()
        var lines: [String] = []
        for _ in 0..<count {
            guard let period = schedule.next(after: last) else { break }
            var local = Date.ISO8601FormatStyle()
            local.timeZone = try timeZone()
            let columns = [period.id, period.start.formatted(local), period.start.formatted(.iso8601)]
            lines.append((columns + [period.remark].compactMap(\.self)).joined(separator: "  "))
            last = period.start
        }
        return lines
    }

    private func schedule() throws -> Schedule {
        do { return try Schedule.cron(expression, in: zone) } catch { throw ValidationError("\(error)") }
    }

    private func timeZone() throws -> TimeZone {
        guard let zone = TimeZone(identifier: zone) else { throw ValidationError("\"\(zone)\" is no time zone") }
        return zone
    }

    /// The instant after which the first period begins.
    private func start() throws -> Date {
        guard let from else { return Date() }
        var style = Date.ISO8601FormatStyle().year().month().day()
        style.timeZone = try timeZone()
        // What begins with the day belongs to it.
        if let day = try? style.parse(from), from.count == 10 { return day.addingTimeInterval(-1) }
        if let instant = try? Date(from, strategy: .iso8601) { return instant }
        throw ValidationError("--from is \"\(from)\"; it is a day such as 2026-03-07, or 2026-03-07T12:00:00Z")
    }
}
