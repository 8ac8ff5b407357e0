internal import Foundation
internal import ZooKeeper

/// One instant when a run is due, in seconds since 1970, and the local time that names it.
struct Occurrence: Equatable {
    var instant: Int
    /// The nominal local time in minutes since 1970; `nil` for intervals.
    var local: Int?

    var time: Timestamp { Timestamp(seconds: instant) }
}

// The only place that computes when a schedule is due: all other functions use `first(from:)` and `last(through:)`.
extension Schedule {
    /// Returns the first occurrence after an instant.
    func first(after instant: Timestamp) -> Occurrence? {
        let (seconds, range) = (instant.seconds, Timestamp.scheduledSeconds)
        guard seconds < range.upperBound else { return nil }
        let found = first(from: max(seconds + 1, range.lowerBound))
        return found.flatMap { range.contains($0.instant) ? $0 : nil }
    }

    /// Returns the last occurrence at or before an instant.
    func last(at instant: Timestamp) -> Occurrence? {
        let (seconds, range) = (instant.seconds, Timestamp.scheduledSeconds)
        guard seconds >= range.lowerBound else { return nil }
        let found = last(through: min(seconds, range.upperBound))
        return found.flatMap { range.contains($0.instant) ? $0 : nil }
    }

    private func first(from instant: Int) -> Occurrence? {
        switch kind {
        case .daily(let time, let zone): firstOfDay(from: instant, CronExpression(dailyAt: time), LocalClock(zone))
        case .cron(let expression, let zone):
            expression.isAnyHour
                ? firstInRealTime(from: instant, expression, LocalClock(zone))
                : firstOfDay(from: instant, expression, LocalClock(zone))
        case .every(let seconds, let origin):
            Occurrence(instant: instant + (origin - instant).dividedDown(by: seconds).rest)
        case .withLeadership: nil
        }
    }

    private func last(through instant: Int) -> Occurrence? {
        switch kind {
        case .daily(let time, let zone): lastOfDay(through: instant, CronExpression(dailyAt: time), LocalClock(zone))
        case .cron(let expression, let zone):
            expression.isAnyHour
                ? lastInRealTime(through: instant, expression, LocalClock(zone))
                : lastOfDay(through: instant, expression, LocalClock(zone))
        case .every(let seconds, let origin):
            Occurrence(instant: instant - (instant - origin).dividedDown(by: seconds).rest)
        case .withLeadership: nil
        }
    }
}

// MARK: - Times of local days

// Each named time is due when clocks first show it or a later time. The due instant never decreases from one local time
// to the next, whatever changes of the clocks there are. If it is the same for several times, the first of them names
// the one occurrence.
extension Schedule {
    private func firstOfDay(from instant: Int, _ expression: CronExpression, _ clock: LocalClock) -> Occurrence? {
        var minute = clock.latestShown(through: instant - 1).dividedDown(by: 60).quotient + 1
        while let local = expression.first(from: minute) {
            if let due = due(local, clock) { return Occurrence(instant: due, local: local) }
            minute = local + 1
        }
        return nil
    }

    private func lastOfDay(through instant: Int, _ expression: CronExpression, _ clock: LocalClock) -> Occurrence? {
        var minute = clock.latestShown(through: instant).dividedDown(by: 60).quotient
        while let local = expression.last(through: minute) {
            // Uses the forward search, so that both directions select the same name.
            if let due = due(local, clock) { return firstOfDay(from: due, expression, clock) }
            minute = local - 1
        }
        return nil
    }

    /// Returns the instant when a time of a local day is due; `nil` if clocks skipped the whole day.
    private func due(_ local: Int, _ clock: LocalClock) -> Int? {
        let instant = clock.instant(of: local * 60)
        if case .never(_, let skipped) = instant,
            skipped.contains(wholeDay: local.dividedDown(by: 1440).quotient)
        {
            return nil
        }
        return instant.first
    }
}

// MARK: - Real time

// Each instant when clocks show a named time is due. Between two changes of the offset, this is a search among
// local times.
extension Schedule {
    private static let twoDays = 2 * 86_400
    private static let horizon = CronExpression.horizonInYears * 366 * 86_400

    private func firstInRealTime(from instant: Int, _ expression: CronExpression, _ clock: LocalClock) -> Occurrence? {
        var start = instant
        while start <= instant + Self.horizon {
            let offset = clock.offset(at: start)
            let minute = (start + offset - 1).dividedDown(by: 60).quotient + 1
            guard let local = expression.first(from: minute) else { return nil }
            let candidate = local * 60 - offset
            let end = min(candidate, start + Self.twoDays)
            if let change = clock.change(after: start, through: end) {
                start = change
            } else if end == candidate {
                return Occurrence(instant: candidate, local: local)
            } else {
                // Offsets differ by less than two days, so no clock shows a named time in between.
                start = max(end, candidate - Self.twoDays)
            }
        }
        return nil
    }

    private func lastInRealTime(through instant: Int, _ expression: CronExpression, _ clock: LocalClock) -> Occurrence?
    {
        var end = instant
        while end >= instant - Self.horizon {
            let offset = clock.offset(at: end)
            guard let local = expression.last(through: (end + offset).dividedDown(by: 60).quotient) else { return nil }
            let candidate = local * 60 - offset
            let start = max(candidate, end - Self.twoDays)
            if let change = clock.change(after: start, through: end) {
                end = change - 1
            } else if start == candidate {
                return Occurrence(instant: candidate, local: local)
            } else {
                end = min(start, candidate + Self.twoDays)
            }
        }
        return nil
    }
}

// MARK: - Names

extension Schedule {
    func id(of occurrence: Occurrence) -> String {
        switch (kind, occurrence.local) {
        case (.daily, let local?): return "\(day(of: local))"
        // The names sort in chronological order even if clocks are set back.
        case (.cron(let expression, _), let local?) where !expression.isAnyHour:
            return "\(day(of: local))T\(time(of: local))"
        default: return occurrence.time.secondsText
        }
    }

    func remark(on occurrence: Occurrence) -> String? {
        guard let local = occurrence.local else { return nil }
        switch kind {
        case .daily(let time, let zone):
            return remark(on: local, CronExpression(dailyAt: time), LocalClock(zone))
        case .cron(let expression, let zone) where !expression.isAnyHour:
            return remark(on: local, expression, LocalClock(zone))
        case .cron(_, let zone):
            guard case .twice(let first, _) = LocalClock(zone).instant(of: local * 60) else { return nil }
            let which = occurrence.instant == first ? "first" : "second"
            return "\(time(of: local)) comes twice on \(day(of: local)): the \(which)"
        case .every, .withLeadership: return nil
        }
    }

    private func remark(on local: Int, _ expression: CronExpression, _ clock: LocalClock) -> String? {
        let (time, place) = (time(of: local), "on \(day(of: local)) in \(clock.zone.identifier)")
        switch clock.instant(of: local * 60) {
        case .once: return nil
        case .twice: return "\(time) comes twice \(place): the first"
        case .never(_, let skipped):
            let last = expression.last(through: skipped.upperBound.dividedDown(by: 60).quotient)
            let others = last.map { $0 > local ? ", also for the times up to \(self.time(of: $0))" : "" } ?? ""
            return "there is no \(time) \(place): the first instant after it\(others)"
        }
    }

    private func day(of local: Int) -> LocalDay { LocalDay(number: local.dividedDown(by: 1440).quotient) }

    private func time(of local: Int) -> TimeOfDay { TimeOfDay(minuteOfDay: local.dividedDown(by: 1440).rest) }
}
