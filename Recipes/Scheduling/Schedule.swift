internal import Foundation
public import ZooKeeper

/// The times at which a task runs.
///
/// Each occurrence of a schedule starts a period, which lasts until the next occurrence.
///
/// ```swift
/// let nightly = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
/// let reports = try Schedule.cron("0 9 * * MON-FRI", in: "Europe/Berlin")
/// let sweep = try Schedule.every(.seconds(900))
/// ```
///
/// **Daylight saving.** A schedule that names hours refers to hours of the local day, and fires once for each named
/// time. If a local time occurs twice, the period starts at the first of the two. If a local time does not exist, the
/// period starts at the first instant after the gap, even if that is midnight of the next day. ``Period/note``
/// reports both cases. If several times fall on one instant because of a gap, they are one period, named after the
/// first of them. A daily schedule therefore has exactly one period for each local day. The only exception is a day
/// that a zone skips completely, such as 2011-12-30 in Pacific/Apia, which has none.
///
/// A cron schedule whose hour field starts with `*` (`*/15 * * * *`) refers to real time. It fires at each instant
/// whose local time it names: twice in a repeated hour, and never in a missing one. ``every(_:from:)`` does not depend
/// on a time zone.
///
/// Periods start within the years 1 to 9999. Finding one takes a few microseconds, whatever the schedule.
public struct Schedule: Sendable, Hashable, CustomStringConvertible {
    /// The time from one occurrence of a schedule until the next.
    public struct Period: Sendable, Hashable, CustomStringConvertible {
        /// The period's ID, which is unique within the schedule; IDs sort in chronological order.
        ///
        /// For a daily schedule it is the local day, `2026-03-08`. For a cron schedule with named hours it is the
        /// nominal local time, `2026-03-08T02:30`. Otherwise it is the instant in UTC, `2026-03-08T07:00:00Z`. Two
        /// nodes with different time zone data therefore use the same ID for the same period. If the time of a daily
        /// schedule is changed after that day's run, the task does not run again on that day.
        public let id: String
        /// The time at which the period starts.
        public let start: Timestamp
        /// The time at which the next period starts; `nil` if there is none.
        public let end: Timestamp?
        /// A note on the period: the effect of daylight saving, or who requested the run; `nil` if there is none.
        public let note: String?

        /// The period's ID.
        public var description: String { id }
    }

    enum Kind: Hashable {
        case daily(TimeOfDay, TimeZone)
        case cron(CronExpression, TimeZone)
        case every(seconds: Int, from: Int)
        case withLeadership
    }

    let kind: Kind

    /// Returns a schedule that fires once each local day.
    ///
    /// - Parameters:
    ///   - time: The time of the local day.
    ///   - zone: The identifier of the time zone, such as `Europe/Berlin`.
    /// - Throws: ``ScheduleError`` if the time zone is unknown.
    public static func daily(at time: TimeOfDay, in zone: String) throws(ScheduleError) -> Schedule {
        Schedule(kind: .daily(time, try LocalClock(zone: zone).zone))
    }

    /// Returns a schedule that fires at the local times that a cron expression names.
    ///
    /// - Parameters:
    ///   - expression: Five fields; see ``CronExpression``.
    ///   - zone: The identifier of the time zone, such as `Europe/Berlin`.
    /// - Throws: ``ScheduleError`` if the expression is invalid or names no existing day, or if the time zone is
    ///   unknown.
    public static func cron(_ expression: String, in zone: String) throws(ScheduleError) -> Schedule {
        let schedule = Schedule(kind: .cron(try CronExpression(expression), try LocalClock(zone: zone).zone))
        guard schedule.first(after: Timestamp(seconds: 0)) != nil else {
            throw ScheduleError(
                "\"\(expression)\" names no day of any year: give days that one of its months has, such as 0 0 28 2 *")
        }
        return schedule
    }

    /// Returns a schedule that fires at equal intervals of real time.
    ///
    /// - Parameters:
    ///   - interval: A whole number of seconds from 1 to 1,576,800,000, which is 50 years.
    ///   - origin: One of the instants when the schedule fires, within the years 1 to 9999. It is rounded down to
    ///     the second. Default: 1970-01-01T00:00:00Z.
    /// - Throws: ``ScheduleError`` if the interval or the origin is not within these limits.
    public static func every(
        _ interval: Duration, from origin: Timestamp = Timestamp(millisecondsSince1970: 0)
    ) throws(ScheduleError) -> Schedule {
        let (seconds, rest) = interval.components
        guard (1...longestInterval).contains(seconds), rest == 0 else {
            throw ScheduleError(
                "\(interval) as an interval: it is a whole number of seconds from 1 to \(longestInterval), which is 50 years"
            )
        }
        guard Timestamp.scheduledSeconds.contains(origin.seconds) else {
            throw ScheduleError("\(origin) as the origin of an interval: it is within the years 1 to 9999")
        }
        return Schedule(kind: .every(seconds: Int(seconds), from: origin.seconds))
    }

    /// The longest interval in seconds: the search for occurrences does not look further ahead.
    private static let longestInterval: Int64 = 50 * 365 * 86_400

    /// A schedule that fires once at the start of each term of leadership, for a service that runs on the leader.
    ///
    /// The task starts with the term. It is cancelled and awaited before the task of the next leader starts. The
    /// schedule has no periods.
    public static let onLeadership = Schedule(kind: .withLeadership)

    var isWithLeadership: Bool { kind == .withLeadership }

    /// The schedule in words.
    public var description: String {
        switch kind {
        case .daily(let time, let zone): "daily at \(time) in \(zone.identifier)"
        case .cron(let expression, let zone): "\(expression) in \(zone.identifier)"
        case .every(let seconds, _): "every \(seconds) s"
        case .withLeadership: "with each term of leadership"
        }
    }
}

extension Schedule {
    /// Returns the first period that starts after an instant; `nil` if there is none within the next 50 years.
    ///
    /// - Complexity: A few microseconds.
    public func next(after instant: Timestamp) -> Period? {
        first(after: instant).map { period($0, until: following($0)) }
    }

    /// Returns the last period that starts at or before an instant; `nil` if there is none within the preceding 50
    /// years.
    ///
    /// - Complexity: A few microseconds.
    public func latest(at instant: Timestamp) -> Period? {
        last(at: instant).map { period($0, until: following($0)) }
    }

    /// Returns all periods that start after `start` and not after `end`, in chronological order.
    public func periods(after start: Timestamp, through end: Timestamp) -> [Period] {
        var periods: [Period] = []
        var occurrence = first(after: start)
        while let present = occurrence, present.time <= end {
            occurrence = following(present)
            periods.append(period(present, until: occurrence))
        }
        return periods
    }

    private func following(_ occurrence: Occurrence) -> Occurrence? { first(after: occurrence.time) }

    private func period(_ occurrence: Occurrence, until next: Occurrence?) -> Period {
        Period(id: id(of: occurrence), start: occurrence.time, end: next?.time, note: remark(on: occurrence))
    }
}
