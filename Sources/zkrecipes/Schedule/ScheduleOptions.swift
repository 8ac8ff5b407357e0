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

    @Option(help: "The base of an exclusive mode: each run happens in a window of it.")
    var exclusive: String?

    @Option(help: "How far the clock may be from the ensemble's, in seconds.")
    var skewLimit = 10.0

    @Option(help: "How many records are kept.")
    var keepRuns = 100

    func configuration() throws -> ScheduledTaskConfiguration {
        try HeldCommand.validate(seconds: missedAfter, option: "--missed-after")
        try HeldCommand.validate(seconds: skewLimit, option: "--skew-limit")
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

    private func missedPolicy() throws -> MissedPolicy {
        if missed == "none" { return .none }
        if missed == "latest" { return .latest }
        let parts = missed.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0] == "all", let seconds = Double(parts[1]), (0...1e9).contains(seconds) else {
            throw ValidationError("--missed is \"\(missed)\"; it is none, latest, or all:SECONDS.")
        }
        return .all(within: .seconds(seconds))
    }
}

/// Reads a value of one or several words: `ask-operator` is `askOperator`.
func parseWords<Value: RawRepresentable<String>>(_ argument: String) throws -> Value {
    let words = argument.split(separator: "-")
    let name = (words.first.map(String.init) ?? "") + words.dropFirst().map(\.capitalized).joined()
    guard let value = Value(rawValue: name) else { throw ValidationError("\"\(argument)\" is not known there.") }
    return value
}
