import ArgumentParser
import Foundation
import ZooKeeperRecipes

/// When a task runs.
struct ScheduleOptions: ParsableArguments {
    @Option(help: "Five fields: minute, hour, day of the month, month, day of the week.")
    var cron: String?

    @Option(name: .customLong("tz"), help: "The time zone of --cron, such as Europe/Berlin.")
    var zone = "UTC"

    @Option(help: "Run at intervals of so many whole seconds.")
    var every: Int?

    @Flag(help: "Run once in each term of leadership, from its beginning.")
    var withLeadership = false

    func validate() throws {
        let given = [cron != nil, every != nil, withLeadership].count { $0 }
        guard given == 1 else {
            throw ValidationError("Give one of --cron, --every and --with-leadership.")
        }
        if let every, every < 1 { throw ValidationError("--every is \(every); it must be 1 or more seconds.") }
    }

    func schedule() throws -> Schedule {
        do {
            if let cron { return try Schedule.cron(cron, in: zone) }
            if let every { return try Schedule.every(.seconds(every)) }
            return .startsWithLeadership
        } catch {
            throw ValidationError("\(error)")
        }
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

    @Option(help: "How late a period may begin before it is missed, in seconds.")
    var missedAfter = 600.0

    @Option(help: "A period that begins while a run is on: skip, queue-one, or cancel-other.", transform: parseWords)
    var overlap = OverlapPolicy.skip

    @Flag(help: "Pause after a run that failed, until an operator resumes.")
    var pauseOnFailure = false

    @Option(help: "The base of an exclusive mode: each run happens in a window of it.", transform: parsePath)
    var exclusive: String?

    @Option(help: "How far the clock may be from the ensemble's, in seconds.")
    var skewLimit = 10.0

    @Option(help: "How many records are kept.")
    var keepRuns = 100

    func configuration() throws -> ScheduledTaskConfiguration {
        try checkLimits()
        var configuration = ScheduledTaskConfiguration()
        configuration.takeover = takeover
        configuration.missed = try missedPolicy()
        configuration.missedAfter = .seconds(missedAfter)
        configuration.overlap = overlap
        configuration.pauseOnFailure = pauseOnFailure
        configuration.skewLimit = .seconds(skewLimit)
        configuration.keepRuns = keepRuns
        return configuration
    }

    private func checkLimits() throws {
        for (seconds, option) in [(missedAfter, "--missed-after"), (skewLimit, "--skew-limit")] {
            try HeldCommand.validate(seconds: seconds, option: option)
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
        guard parts.count == 2, parts[0] == "all", let seconds = Double(parts[1]), (0...1e9).contains(seconds) else {
            throw ValidationError("--missed is \"\(missed)\"; it is none, latest, or all:SECONDS.")
        }
        guard seconds >= missedAfter else {
            throw ValidationError("--missed is \"\(missed)\", less than --missed-after, which is \(missedAfter).")
        }
        return .all(within: .seconds(seconds))
    }
}

/// Reads a value of one or several words: `ask-operator` is `askOperator`.
func parseWords<Value: RawRepresentable<String> & CaseIterable>(_ argument: String) throws -> Value {
    let words = argument.split(separator: "-")
    let name = (words.first.map(String.init) ?? "") + words.dropFirst().map(\.capitalized).joined()
    if let value = Value(rawValue: name) { return value }
    let known = Value.allCases.map { value in
        value.rawValue.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
    }
    throw ValidationError("it is one of \(known.joined(separator: ", "))")
}

/// Reads an instant.
func parseInstant(_ argument: String) throws -> Date {
    do { return try Date(argument, strategy: .iso8601) } catch {
        throw ValidationError("an instant is such as 2026-03-07T12:00:00Z")
    }
}
