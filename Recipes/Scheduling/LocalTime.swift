internal import Foundation

/// A time of a local day, to the minute.
public struct TimeOfDay: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// From 0 to 23.
    public let hour: Int
    /// From 0 to 59.
    public let minute: Int

    /// Makes a time.
    ///
    /// - Throws: ``ScheduleError`` when there is no such time.
    public init(hour: Int, minute: Int = 0) throws(ScheduleError) {
        guard (0...23).contains(hour), (0...59).contains(minute) else {
            throw ScheduleError("\(hour):\(minute) as a time of day: hours are 0 to 23, minutes 0 to 59")
        }
        self.init(unchecked: hour, minute)
    }

    init(unchecked hour: Int, _ minute: Int) {
        self.hour = hour
        self.minute = minute
    }

    /// As `02:30`.
    public var description: String { "\(twoDigits(hour)):\(twoDigits(minute))" }

    /// Earlier on the same day.
    public static func < (left: TimeOfDay, right: TimeOfDay) -> Bool {
        (left.hour, left.minute) < (right.hour, right.minute)
    }

    var seconds: Int { hour * 3600 + minute * 60 }
}

/// A day by its date, wherever it is.
struct LocalDay: Sendable, Hashable, CustomStringConvertible {
    /// Days since 1970-01-01.
    let number: Int
    let year: Int
    let month: Int
    let day: Int

    private static let length = 86_400

    init(number: Int) {
        self.number = number
        (year, month, day) = Self.date(number)
    }

    /// The date in the Gregorian calendar, by arithmetic: plans look at thousands of days, and calendars take their time.
    ///
    /// Counts in years that begin on 1 March, so that the day that comes and goes is the last, and in eras of 400 years,
    /// which all have 146,097 days.
    private static func date(_ number: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    /// The day on which an instant falls in a zone.
    init(of instant: Date, in zone: TimeZone) {
        let local = Int(instant.timeIntervalSince1970.rounded(.down)) + zone.secondsFromGMT(for: instant)
        self.init(number: Int((Double(local) / Double(Self.length)).rounded(.down)))
    }

    /// `nil` when there is no such day.
    init?(year: Int, month: Int, day: Int) {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        self.init(number: era * 146_097 + dayOfEra - 719_468)
        guard (self.year, self.month, self.day) == (year, month, day) else { return nil }
    }

    var next: LocalDay { LocalDay(number: number + 1) }
    var previous: LocalDay { LocalDay(number: number - 1) }
    /// From 0, Sunday, to 6; the first day of 1970 was a Thursday.
    var weekday: Int { ((number + 4) % 7 + 7) % 7 }
    var isLastOfMonth: Bool { next.month != month }
    var isInLastWeekOfMonth: Bool { LocalDay(number: number + 7).month != month }
    var description: String { "\(fourDigits(year))-\(twoDigits(month))-\(twoDigits(day))" }

    /// Seconds from 1970-01-01 00:00 to a time of this day, both in the same place.
    func seconds(at time: TimeOfDay) -> Int { number * Self.length + time.seconds }
}

/// What instants a local time is.
enum LocalInstant: Equatable {
    case once(Date)
    /// Clocks are set back: the time comes twice.
    case twice(first: Date, second: Date)
    /// Clocks are set forward over the time: the first instant after it.
    case never(then: Date)

    init(_ time: TimeOfDay, on day: LocalDay, in zone: TimeZone) {
        let local = day.seconds(at: time)
        // Offsets are under a day: what holds here before and after covers any change in between.
        let offsets = [-1, 1].map { side in
            zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(local + side * 86_400)))
        }
        let instants = Set(offsets).map { Date(timeIntervalSince1970: Double(local - $0)) }
            .filter { Int($0.timeIntervalSince1970) + zone.secondsFromGMT(for: $0) == local }.sorted()
        switch instants.count {
        case 1: self = .once(instants[0])
        case 2: self = .twice(first: instants[0], second: instants[1])
        default: self = .never(then: Self.change(from: local - offsets[1], to: local - offsets[0], in: zone))
        }
    }

    /// The first instant with the new offset; both ends are seconds since 1970.
    private static func change(from lower: Int, to upper: Int, in zone: TimeZone) -> Date {
        func offset(_ seconds: Int) -> Int {
            zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds)))
        }
        var (before, after) = (lower, upper)
        while after - before > 1 {
            let middle = before + (after - before) / 2
            if offset(middle) == offset(lower) { before = middle } else { after = middle }
        }
        return Date(timeIntervalSince1970: Double(after))
    }
}

func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

private func fourDigits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 4 - text.count)) + text
}
