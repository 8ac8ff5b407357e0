import ArgumentParser
import CommandLineSupport
import Foundation
import ZooKeeperRecipes
import ZooKeeperScheduling

/// When a task runs.
struct ScheduleOptions: ParsableArguments {
    /// What a cron expression may be, for every command that reads one.
    static let cronHelp = """
        Five fields: minute, hour, day of the month (L is the last one), month, day of the week (FRI#2 is the second \
        Friday of a month, FRIL or 5L the last one). A field is *, a value, a range 1-5, a step */2 or 1-20/5, or a list. \
        If one of the day fields begins with *, a day must be in both, else one of them is enough.
        """

    @Option(help: ArgumentHelp(stringLiteral: cronHelp))
    var cron: String?

    @Option(name: .customLong("tz"), help: "The time zone of --cron, such as Europe/Berlin.")
    var zone = "UTC"

    @Option(
        parsing: .unconditional,
        help: "Run at intervals of so many whole seconds, from 1 to 1576800000, which is 50 years.")
    var every: String?

    @Flag(help: "Run once in each term of leadership, from its beginning.")
    var withLeadership = false

    func validate() throws {
        let given = [cron != nil, every != nil, withLeadership].count { $0 }
        guard given == 1 else {
            throw ValidationError("Give one of --cron, --every and --with-leadership.")
        }
        _ = try schedule()
    }

    func schedule() throws -> Schedule {
        do {
            if let cron { return try Schedule.cron(cron, in: zone) }
            if let every { return try interval(every) }
            return .onLeadership
        } catch let error as ScheduleError {
            throw ValidationError("\(error)")
        }
    }

    private func interval(_ text: String) throws -> Schedule {
        // The schedule itself refuses what is beyond its bounds.
        guard let seconds = Int(text), let schedule = try? Schedule.every(.seconds(seconds)) else {
            throw ValidationError(
                "--every is \(text); it must be a whole number of seconds from 1 to 1576800000, such as 900.")
        }
        return schedule
    }
}

/// What is done when all does not go well.
struct SchedulePolicyOptions: ParsableArguments {
    @Option(
        help: "at-most-once, or at-least-once: whether a run whose runner died may be begun again.",
        transform: parseWords)
    var delivery = TaskDelivery.atLeastOnce

    @Option(help: "What becomes of such a run: rerun, resume, skip, or ask-operator.", transform: parseWords)
    var takeover: TakeoverPolicy?

    @Option(help: "Periods that nobody was there for: none, latest, or all:SECONDS.")
    var missed = "latest"

    @Option(
        parsing: .unconditional, help: "How late a period may begin before it is missed, in seconds.",
        transform: parseSeconds)
    var missedAfter = 600.0

    @Option(help: "A period that begins while a run is on: skip, queue-one, or cancel-other.", transform: parseWords)
    var overlap = OverlapPolicy.skip

    @Flag(help: "Pause after a run that failed, until an operator resumes.")
    var pauseOnFailure = false

    @Option(help: "The base of an exclusive mode: each run happens in a window of it.", transform: parsePath)
    var exclusive: String?

    @Option(
        parsing: .unconditional, help: "How far the clock may be from the ensemble's, in seconds.",
        transform: parseSeconds)
    var skewLimit = 10.0

    @Option(parsing: .unconditional, help: "How many records are kept.")
    var keepRuns = 100

    func configuration() throws -> ScheduledTaskConfiguration {
        try checkLimits()
        var configuration = ScheduledTaskConfiguration()
        configuration.takeover = takeover
        configuration.missed = try missedPolicy()
        configuration.missedAfter = .seconds(missedAfter)
        configuration.overlap = overlap
        configuration.pauseOnFailure = pauseOnFailure
        configuration.maximumClockSkew = .seconds(skewLimit)
        configuration.maximumRecords = keepRuns
        return configuration
    }

    private func checkLimits() throws {
        for (seconds, option) in [(missedAfter, "--missed-after"), (skewLimit, "--skew-limit")] {
            guard seconds > 0 else { throw ValidationError("\(option) is \(seconds); it must be over 0.") }
        }
        guard keepRuns > 0 else { throw ValidationError("--keep-runs is \(keepRuns); it must be over 0.") }
        if delivery == .atMostOnce, let takeover, takeover == .rerun || takeover == .resume {
            throw ValidationError(
                "--takeover is \(takeover.rawValue), which begins a run twice, and --delivery is at-most-once: choose skip "
                    + "or ask-operator, or at-least-once.")
        }
    }

    private func missedPolicy() throws -> MissedPolicy {
        if missed == "none" { return .none }
        if missed == "latest" { return .latest }
        let parts = missed.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "all", let seconds = unsigned(String(parts[1])), seconds <= 1e9
        else {
            throw ValidationError(
                "--missed is \"\(missed)\"; it is none, latest, or all:SECONDS with 0 to 1000000000 seconds.")
        }
        guard seconds >= missedAfter else {
            throw ValidationError("--missed is \"\(missed)\", less than --missed-after, which is \(missedAfter).")
        }
        return .all(within: .seconds(seconds))
    }
}

/// Reads an instant.
func parseInstant(_ argument: String) throws -> Date {
    do { return try UniversalTime(parsing: argument).date } catch { throw ValidationError("\(error)") }
}

/// Reads a time in seconds.
func parseSeconds(_ argument: String) throws -> Double {
    guard let seconds = unsigned(argument), seconds <= 86_400 else {
        throw ValidationError("it is a number of seconds from 0 to 86400, such as 600 or 0.5")
    }
    return seconds
}

/// Reads digits and a point; `Double` alone would take signs, exponents and hexadecimal digits as well.
private func unsigned(_ text: String) -> Double? {
    text.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") } ? Double(text) : nil
}
