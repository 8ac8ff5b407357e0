/// A time of a local day, to the minute.
public struct TimeOfDay: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The hour, from 0 to 23.
    public let hour: Int
    /// The minute, from 0 to 59.
    public let minute: Int

    /// Creates a time of day.
    ///
    /// - Parameters:
    ///   - hour: The hour, from 0 to 23.
    ///   - minute: The minute, from 0 to 59. Default: 0.
    /// - Throws: ``ScheduleError`` if a value is out of range.
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

    /// The time in the form `02:30`.
    public var description: String { "\(twoDigits(hour)):\(twoDigits(minute))" }

    /// Returns whether a time is earlier on the same day than another.
    public static func < (left: TimeOfDay, right: TimeOfDay) -> Bool {
        (left.hour, left.minute) < (right.hour, right.minute)
    }

    init(minuteOfDay: Int) {
        self.init(unchecked: minuteOfDay / 60, minuteOfDay % 60)
    }
}

/// A calendar day, independent of time zones.
struct LocalDay: Sendable, Hashable, CustomStringConvertible {
    /// The number of days since 1970-01-01.
    let number: Int
    let year: Int
    let month: Int
    let day: Int

    init(number: Int) {
        self.number = number
        (year, month, day) = Self.date(number)
    }

    /// Returns the date in the Gregorian calendar, by arithmetic: plans evaluate thousands of days, and calendars are
    /// slow.
    ///
    /// Years start on 1 March, so that the leap day is the last day of a year. They are counted in eras of 400 years,
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

    /// Returns the number of days from 1970-01-01 to a date; a day after the end of the month continues in the next
    /// month.
    fileprivate static func number(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// Creates a day; `nil` if there is no such day in the years 1 to 9999.
    init?(year: Int, month: Int, day: Int) {
        guard (1...9999).contains(year), (1...12).contains(month),
            (1...LocalMonth(year: year, month: month).length).contains(day)
        else { return nil }
        self.init(number: Self.number(year, month, day))
    }

    /// Creates a day from a date.
    ///
    /// - Throws: ``ScheduleError``, which names the invalid part of the date.
    init(checking date: (year: Int, month: Int, day: Int)) throws(ScheduleError) {
        guard date.year >= 1 else { throw ScheduleError("years are 0001 to 9999") }
        guard (1...12).contains(date.month) else { throw ScheduleError("months are 01 to 12") }
        guard let day = LocalDay(year: date.year, month: date.month, day: date.day) else {
            let length = LocalMonth(year: date.year, month: date.month).length
            throw ScheduleError("\(fourDigits(date.year))-\(twoDigits(date.month)) has the days 01 to \(length)")
        }
        self = day
    }

    var next: LocalDay { LocalDay(number: number + 1) }
    var previous: LocalDay { LocalDay(number: number - 1) }
    /// From 0 for Sunday to 6; the first day of 1970 was a Thursday.
    var weekday: Int { (number + 4).dividedDown(by: 7).rest }
    var isLastOfMonth: Bool { next.month != month }
    var description: String { "\(fourDigits(year))-\(twoDigits(month))-\(twoDigits(day))" }
}

/// A month of a year.
struct LocalMonth: Sendable, Hashable {
    var year: Int
    var month: Int

    /// The number of its first day, in days since 1970-01-01.
    var firstNumber: Int { LocalDay.number(year, month, 1) }
    var length: Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

private func fourDigits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 4 - text.count)) + text
}
