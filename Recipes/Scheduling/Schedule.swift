public import Foundation

/// When a task runs: each time that it strikes begins a period, which lasts until the next one.
///
/// ```swift
/// let nightly = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
/// let reports = try Schedule.cron("0 9 * * MON-FRI", in: "Europe/Berlin")
/// let sweep = try Schedule.every(.seconds(900))
/// ```
///
/// **Daylight saving.** A schedule that names hours means hours of the local day, and strikes once for each that it names.
/// If the local time comes twice, the period begins at the first of the two. If it does not exist, the period begins at the
/// first instant after it, even if that is midnight of the next day. ``Period/remark`` says so. Several times that fall on one
/// instant that way are one period, which has the name of the first of them. So a daily schedule has exactly one period for
/// each local day; only a day that a zone leaves out as a whole, such as 2011-12-30 in Pacific/Apia, has none.
///
/// A cron schedule whose hour begins with `*` (`*/15 * * * *`) means real time: it strikes at each instant whose local time
/// it names, in a repeated hour twice, in a missing one never. ``every(_:from:)`` knows of no zones.
///
/// Periods begin within the years 1 to 9999. Finding one takes some microseconds, whatever the schedule.
public struct Schedule: Sendable, Hashable, CustomStringConvertible {
    /// One time that a schedule strikes.
    public struct Period: Sendable, Hashable, CustomStringConvertible {
        /// Names the period among all of the schedule; names are in the order of time.
        ///
        /// It is the local day, `2026-03-08`, of a daily schedule; the local time that is meant, `2026-03-08T02:30`, of hours
        /// that are named; else the instant in UTC, `2026-03-08T07:00:00Z`. So two nodes whose time zone data differ mean
        /// the same period by the same name, and a daily schedule whose time was changed has run once that day.
        public let id: String
        /// When it begins.
        public let start: Date
        /// When the next one begins; `nil` when there is none.
        public let end: Date?
        /// What daylight saving has changed; `nil` on all other days.
        public let remark: String?

        /// The period's id.
        public var description: String { id }
    }

    enum Kind: Hashable {
        case daily(TimeOfDay, TimeZone)
        case cron(CronExpression, TimeZone)
        case every(seconds: Int, from: Int)
        case withLeadership
    }

    let kind: Kind

    /// Strikes once each local day.
    ///
    /// - Throws: ``ScheduleError`` when the zone is not known.
    public static func daily(at time: TimeOfDay, in zone: String) throws(ScheduleError) -> Schedule {
        Schedule(kind: .daily(time, try LocalClock(zone: zone).zone))
    }

    /// Strikes at the local times that an expression names.
    ///
    /// - Throws: ``ScheduleError`` when the expression or the zone cannot be, or when the expression names no day at all.
    public static func cron(_ expression: String, in zone: String) throws(ScheduleError) -> Schedule {
        let schedule = Schedule(kind: .cron(try CronExpression(expression), try LocalClock(zone: zone).zone))
        guard schedule.first(after: Date(timeIntervalSince1970: 0)) != nil else {
            throw ScheduleError(
                "\"\(expression)\" names no day of any year: give days that one of its months has, such as 0 0 28 2 *")
        }
        return schedule
    }

    /// Strikes at equal intervals of real time.
    ///
    /// - Parameters:
    ///   - interval: Whole seconds, from one to 1,576,800,000, which is 50 years.
    ///   - origin: One of the instants at which it strikes, rounded down to the second; within the years 1 to 9999.
    /// - Throws: ``ScheduleError`` if the interval or the origin is not within these limits.
    public static func every(
        _ interval: Duration, from origin: Date = Date(timeIntervalSince1970: 0)
    ) throws(ScheduleError) -> Schedule {
        let (seconds, rest) = interval.components
        guard (1...longestInterval).contains(seconds), rest == 0 else {
            throw ScheduleError(
                "\(interval) as an interval: it is a whole number of seconds from 1 to \(longestInterval), which is 50 years"
            )
        }
        guard let first = Int(exactly: origin.timeIntervalSince1970.rounded(.down)),
            UniversalTime.range.contains(first)
        else {
            throw ScheduleError(
                "\(origin.timeIntervalSince1970) s since 1970 as the origin of an interval: it is within the years 1 to 9999"
            )
        }
        return Schedule(kind: .every(seconds: Int(seconds), from: first))
    }

    /// In seconds: periods further apart are not looked for.
    private static let longestInterval: Int64 = 50 * 365 * 86_400

    /// Strikes once in each term of leadership, at its beginning: for a service that runs on whoever leads.
    ///
    /// The task begins with the term and is cancelled and awaited before the next node begins its own. It has no periods.
    public static let startsWithLeadership = Schedule(kind: .withLeadership)

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
    /// The first period that begins after an instant; `nil` if there is none within the next 50 years.
    ///
    /// - Complexity: Some microseconds.
    public func next(after instant: Date) -> Period? {
        first(after: instant).map { period($0, until: following($0)) }
    }

    /// The last period that begins at an instant or before it; `nil` if there is none within the 50 years before.
    ///
    /// - Complexity: Some microseconds.
    public func latest(at instant: Date) -> Period? {
        last(at: instant).map { period($0, until: following($0)) }
    }

    /// All periods that begin after one instant and at another or before it, in order.
    public func periods(after start: Date, through end: Date) -> [Period] {
        var periods: [Period] = []
        var occurrence = first(after: start)
        while let present = occurrence, present.date <= end {
            occurrence = following(present)
            periods.append(period(present, until: occurrence))
        }
        return periods
    }

    private func following(_ occurrence: Occurrence) -> Occurrence? { first(after: occurrence.date) }

    private func period(_ occurrence: Occurrence, until next: Occurrence?) -> Period {
        Period(id: id(of: occurrence), start: occurrence.date, end: next?.date, remark: remark(on: occurrence))
    }
}
