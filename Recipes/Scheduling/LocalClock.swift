internal import Foundation
package import ZooKeeper

/// The conversion between instants and the local times of a time zone.
///
/// Instants are seconds since 1970 in UTC, and local times are seconds since 1970 in local time. The conversion uses
/// only the zone's offsets. It relies on the fact that no time zone changes its offset more than once in two days.
package struct LocalClock: Sendable {
    let zone: TimeZone

    private static let day = 86_400

    /// Creates a clock for a time zone.
    ///
    /// - Throws: ``ScheduleError`` if the time zone is unknown.
    package init(zone name: String) throws(ScheduleError) {
        guard let zone = TimeZone(identifier: name) else {
            throw ScheduleError("\"\(name)\" is no time zone here; one is called as Europe/Berlin or UTC")
        }
        self.zone = zone
    }

    init(_ zone: TimeZone) { self.zone = zone }

    /// Returns how many seconds local time is ahead of UTC.
    func offset(at instant: Int) -> Int {
        zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
    }

    /// Returns the instant when the offset changes in a range; `nil` if the offsets at both ends are equal.
    ///
    /// The result is the first instant with the offset of the upper bound.
    ///
    /// - Parameters:
    ///   - lower: The lower bound, at most two days before `upper`.
    ///   - upper: The upper bound.
    func change(after lower: Int, through upper: Int) -> Int? {
        let old = offset(at: lower)
        guard offset(at: upper) != old else { return nil }
        var (before, after) = (lower, upper)
        while after - before > 1 {
            let middle = before + (after - before) / 2
            if offset(at: middle) == old { before = middle } else { after = middle }
        }
        return after
    }

    /// Returns the latest local time that clocks have shown up to an instant.
    ///
    /// If clocks were set back recently, it is later than the time they show at that instant.
    func latestShown(through instant: Int) -> Int {
        let shown = instant + offset(at: instant)
        guard let change = change(after: instant - 2 * Self.day, through: instant) else { return shown }
        return max(shown, change - 1 + offset(at: change - 1))
    }

    /// Returns the instants when clocks show a local time.
    func instant(of local: Int) -> LocalInstant {
        // Offsets are less than a day.
        let (lower, upper) = (local - Self.day, local + Self.day)
        guard let change = change(after: lower, through: upper) else { return .once(local - offset(at: lower)) }
        let (before, after) = (local - offset(at: lower), local - offset(at: upper))
        return switch (before < change, after >= change) {
        case (true, true): .twice(first: before, second: after)
        case (true, false): .once(before)
        case (false, true): .once(after)
        case (false, false):
            .never(then: change, skipped: change + offset(at: lower)..<change + offset(at: upper))
        }
    }

    // MARK: Text

    /// Returns the local time of an instant with its offset: `2026-03-08T03:00:00-0400`.
    package func text(_ instant: Timestamp) -> String {
        let seconds = Timestamp.scheduledSeconds.clamping(instant.seconds)
        let offset = offset(at: seconds)
        let (hours, rest) = abs(offset).quotientAndRemainder(dividingBy: 3600)
        let (minutes, odd) = rest.quotientAndRemainder(dividingBy: 60)
        let digits = twoDigits(hours) + twoDigits(minutes) + (odd == 0 ? "" : twoDigits(odd))
        return Timestamp.text(ofSeconds: seconds + offset) + (offset == 0 ? "Z" : (offset < 0 ? "-" : "+") + digits)
    }

    /// Parses a day such as `2026-03-07`, and returns its first instant.
    ///
    /// - Throws: ``ScheduleError``, which names the error and the valid form.
    package func beginning(ofDay text: String) throws(ScheduleError) -> Timestamp {
        let wrong = { (why: String) in ScheduleError("\"\(text)\" as a day: \(why)") }
        var scanner = DigitScanner(text)
        guard let date = scanner.date(), scanner.isAtEnd else {
            throw wrong("it is written as 2026-03-07, and an instant as 2026-03-07T12:00:00Z")
        }
        guard date.year >= 1 else { throw wrong("years are 0001 to 9999") }
        let day: LocalDay
        do { day = try LocalDay(checking: date) } catch { throw wrong(error.description) }
        switch instant(of: day.number * Self.day) {
        case .once(let instant), .twice(let instant, _): return Timestamp(seconds: instant)
        case .never(let then, let skipped):
            guard !skipped.contains(wholeDay: day.number) else {
                throw wrong("clocks in \(zone.identifier) left this day out; take \(day.next)")
            }
            return Timestamp(seconds: then)
        }
    }
}

/// The instants when clocks show a local time, in seconds since 1970.
enum LocalInstant: Equatable {
    case once(Int)
    /// Clocks are set back, and the time occurs twice.
    case twice(first: Int, second: Int)
    /// Clocks are set forward over the time: the first instant after the gap, and the skipped local times.
    case never(then: Int, skipped: Range<Int>)

    /// The first instant when clocks show the time or a later one.
    var first: Int {
        switch self {
        case .once(let instant), .twice(let instant, _), .never(let instant, _): instant
        }
    }
}

extension Range<Int> {
    /// Returns whether the range contains all local times of a day.
    func contains(wholeDay number: Int) -> Bool {
        lowerBound <= number * 86_400 && (number + 1) * 86_400 <= upperBound
    }
}
