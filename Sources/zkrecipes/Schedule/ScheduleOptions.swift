import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// The options that define the schedule of a task.
struct ScheduleOptions: ParsableArguments {
    /// The syntax of cron expressions, for the help of every command that parses one.
    static let cronHelp = """
        Five fields: minute, hour, day of the month (L is the last one), month, day of the week (FRI#2 is the second \
        Friday of a month, FRIL or 5L the last one). A field is *, a value, a range 1-5, a step */2 or 1-20/5, or a \
        list. If one of the day fields begins with *, a day must be in both, else one of them is enough.
        """

    @Option(help: ArgumentHelp(stringLiteral: cronHelp))
    var cron: String?

    @Option(name: .customLong("tz"), help: "The time zone of --cron, such as Europe/Berlin.")
    var zone = "UTC"

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Run at this interval, in whole seconds from 1s to 18250d, such as 15m.", valueName: "duration"))
    var every: String?

    @Flag(help: "Run once in each term of leadership, at its start.")
    var withLeadership = false

    func validate() throws {
        let given = [cron != nil, every != nil, withLeadership].count { $0 }
        guard given > 0 else {
            throw ValidationError(
                "--cron, --every or --with-leadership is required: use for example --cron '0 2 * * *'")
        }
        guard given == 1 else {
            throw ValidationError("--cron, --every and --with-leadership exclude each other: use exactly one of them")
        }
        _ = try schedule()
    }

    func schedule() throws -> Schedule {
        do {
            if let cron { return try cronSchedule(cron, named: "--cron", in: zone) }
            if let every { return try interval(every) }
            return .onLeadership
        } catch let error as ScheduleError {
            throw ValidationError("\(error)")
        }
    }

    private func interval(_ text: String) throws -> Schedule {
        // The schedule itself refuses an interval that is too long or no whole number of seconds.
        guard let interval = DurationArgument(argument: text), let schedule = try? Schedule.every(interval.duration)
        else {
            throw ValidationError(
                "--every is \(text); it must be a whole number of seconds from 1s to 18250d (50 years), such as 15m")
        }
        return schedule
    }
}

/// Parses a cron expression.
///
/// - Parameter name: The name of the argument, for the error message.
func cronSchedule(_ expression: String, named name: String, in zone: String) throws -> Schedule {
    do { _ = try LocalClock(zone: zone) } catch { throw ValidationError("--tz: \(error)") }
    do { return try Schedule.cron(expression, in: zone) } catch { throw ValidationError("\(name): \(error)") }
}

/// The options for missed, failed and overlapping runs.
struct SchedulePolicyOptions: ParsableArguments {
    @Option(
        help: "at-most-once or at-least-once: whether a run whose node died may start again. (default: at-least-once)",
        transform: parseWords)
    var delivery = TaskDelivery.atLeastOnce

    @Option(
        help:
            "The action for such a run: rerun, resume, skip or ask-operator. (default: rerun; at-most-once: skip)",
        transform: parseWords)
    var takeover: TakeoverPolicy?

    @Option(
        help: "Periods that start late because no node was running: none, latest, or all:<duration>, such as all:24h.")
    var missed = "latest"

    @Option("A period that starts later than this is missed.", in: .milliseconds(1)...DurationArgument.oneDay)
    var missedAfter = DurationArgument.minutes(10)

    @Option(
        help: "A period that starts during another run: skip, queue-one or cancel-other. (default: skip)",
        transform: parseWords)
    var overlap = OverlapPolicy.skip

    @Flag(help: "Pause after a failed run, until an operator resumes the schedule.")
    var pauseOnFailure = false

    @Option(
        help: "The base znode of an exclusive mode: each run opens a window, which pauses its processors.",
        transform: parsePath)
    var exclusive: String?

    @Option(
        "The maximum difference between the clocks of this host and the ensemble.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var maximumClockSkew = DurationArgument.seconds(10)

    @Option(parsing: .unconditional, help: "The number of records to keep.")
    var maximumRecords = 100

    func configuration() throws -> ScheduledTask.Configuration {
        try checkLimits()
        var configuration = ScheduledTask.Configuration()
        configuration.takeover = takeover
        configuration.missed = try missedPolicy()
        configuration.missedAfter = missedAfter.duration
        configuration.overlap = overlap
        configuration.pauseOnFailure = pauseOnFailure
        configuration.maximumClockSkew = maximumClockSkew.duration
        configuration.maximumRecords = maximumRecords
        return configuration
    }

    private func checkLimits() throws {
        guard maximumRecords > 0 else {
            throw ValidationError("--maximum-records is \(maximumRecords); it must be at least 1")
        }
        if delivery == .atMostOnce, let takeover, takeover == .rerun || takeover == .resume {
            throw ValidationError(
                "--takeover is \(takeover.rawValue), which can start a run twice, but --delivery is at-most-once: use "
                    + "--takeover skip or ask-operator, or --delivery at-least-once")
        }
    }

    private func missedPolicy() throws -> MissedPolicy {
        if missed == "none" { return .none }
        if missed == "latest" { return .latest }
        let parts = missed.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "all", let span = DurationArgument(argument: String(parts[1])),
            span <= .seconds(1_000_000_000)
        else {
            throw ValidationError(
                "--missed is \"\(missed)\"; it must be none, latest, or all:<duration>, with at most 1000000000s"
            )
        }
        guard span >= missedAfter else {
            throw ValidationError("--missed is \"\(missed)\", which is less than --missed-after, \(missedAfter)")
        }
        return .all(within: span.duration)
    }
}

/// Parses an instant, such as `2026-03-07T12:00:00Z`.
func parseInstant(_ argument: String) throws -> Timestamp {
    do { return try Timestamp(scheduleText: argument) } catch { throw ValidationError("\(error)") }
}
