/// A calendar day, independent of time zones.
package struct LocalDay: Sendable, Hashable, CustomStringConvertible {
    /// The number of days since 1970-01-01.
    package let number: Int
    package let year: Int
    package let month: Int
    package let day: Int

    package init(number: Int) {
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

    /// Creates a day; `nil` if the month does not exist, or does not have the day.
    package init?(year: Int, month: Int, day: Int) {
        guard (1...12).contains(month), (1...LocalMonth(year: year, month: month).length).contains(day) else {
            return nil
        }
        self.init(number: Self.number(year, month, day))
    }

    /// Creates a day from a date.
    ///
    /// - Throws: ``TimeTextError``, which contains the invalid part of the date.
    package init(checking date: (year: Int, month: Int, day: Int)) throws(TimeTextError) {
        guard (1...12).contains(date.month) else { throw TimeTextError("months are 01 to 12") }
        guard let day = LocalDay(year: date.year, month: date.month, day: date.day) else {
            let month = LocalMonth(year: date.year, month: date.month)
            throw TimeTextError("\(month) has the days 01 to \(month.length)")
        }
        self = day
    }

    package var next: LocalDay { LocalDay(number: number + 1) }
    package var previous: LocalDay { LocalDay(number: number - 1) }
    /// From 0 for Sunday to 6; the first day of 1970 was a Thursday.
    package var weekday: Int { (number + 4).dividedDown(by: 7).rest }
    package var isLastOfMonth: Bool { next.month != month }
    package var description: String { "\(LocalMonth(year: year, month: month))-\(twoDigits(day))" }
}

/// A month of a year.
package struct LocalMonth: Sendable, Hashable, CustomStringConvertible {
    package var year: Int
    package var month: Int

    package init(year: Int, month: Int) {
        self.year = year
        self.month = month
    }

    /// The number of its first day, in days since 1970-01-01.
    package var firstNumber: Int { LocalDay.number(year, month, 1) }
    package var length: Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The month in the form `2026-03`; years before 0 and after 9999 have a sign.
    package var description: String { "\(yearText)-\(twoDigits(month))" }

    private var yearText: String {
        let digits = String(year.magnitude)
        let sign = year < 0 ? "-" : year > 9999 ? "+" : ""
        return sign + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

/// Returns a number from 0 to 99 with two digits.
package func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
