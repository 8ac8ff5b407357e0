/// Which local times a schedule names: the five fields of cron.
///
/// | field | values | besides `*`, lists, ranges and steps |
/// |---|---|---|
/// | minute | 0-59 | |
/// | hour | 0-23 | |
/// | day of the month | 1-31 | `L`, the last day |
/// | month | 1-12, JAN-DEC | |
/// | day of the week | 0-7, SUN-SAT; 0 and 7 are Sunday | `FRI#2`, the second Friday; `5L`, the last Friday |
///
/// When the day of the month and the day of the week are both given, a day that one of them names is meant, as in
/// Vixie's cron.
public struct CronExpression: Sendable, Hashable, CustomStringConvertible {
    /// The expression as it was given.
    public let description: String

    let minutes: Set<Int>
    let hours: Set<Int>
    let days: DaysOfMonth
    let months: Set<Int>
    let weekdays: DaysOfWeek
    /// Whether the hour is left open: such a schedule means real time, and not certain hours of a local day.
    let isAnyHour: Bool

    /// Reads an expression.
    ///
    /// - Throws: ``ScheduleError``, which names the field, what was wrong and what would be right.
    public init(_ text: String) throws(ScheduleError) {
        let fields = text.split(whereSeparator: \.isWhitespace).map(String.init)
        guard fields.count == 5 else {
            throw ScheduleError(
                "\"\(text)\" has \(fields.count) fields; a schedule has five: minute, hour, day of the month, month, "
                    + "day of the week")
        }
        description = fields.joined(separator: " ")
        minutes = try CronField(name: "minute", range: 0...59).values(fields[0])
        hours = try CronField(name: "hour", range: 0...23).values(fields[1])
        days = try DaysOfMonth(fields[2])
        months = try CronField(name: "month", range: 1...12, names: CronField.months).values(fields[3])
        weekdays = try DaysOfWeek(fields[4])
        isAnyHour = fields[1].hasPrefix("*")
    }

    /// The hours and minutes at which the schedule strikes on a day that it names, in order.
    var times: [TimeOfDay] {
        hours.sorted().flatMap { hour in minutes.sorted().map { TimeOfDay(unchecked: hour, $0) } }
    }

    /// Whether the schedule names a day.
    func includes(_ day: LocalDay) -> Bool {
        guard months.contains(day.month) else { return false }
        return switch (days.isAny, weekdays.isAny) {
        case (true, true): true
        case (false, true): days.include(day)
        case (true, false): weekdays.include(day)
        case (false, false): days.include(day) || weekdays.include(day)
        }
    }
}

/// The third field.
struct DaysOfMonth: Sendable, Hashable {
    let isAny: Bool
    private let numbers: Set<Int>
    private let includesLast: Bool

    init(_ text: String) throws(ScheduleError) {
        var numbers: Set<Int> = []
        var includesLast = false
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            if part.uppercased() == "L" {
                includesLast = true
            } else {
                try numbers.formUnion(CronField(name: "day of the month", range: 1...31).values(String(part)))
            }
        }
        isAny = text.hasPrefix("*")
        self.numbers = numbers
        self.includesLast = includesLast
    }

    func include(_ day: LocalDay) -> Bool {
        numbers.contains(day.day) || (includesLast && day.isLastOfMonth)
    }
}

/// The fifth field; days are 0, Sunday, to 6.
struct DaysOfWeek: Sendable, Hashable {
    private struct Counted: Hashable {
        var weekday: Int
        /// From 1 to 5; `nil` for the last one of a month.
        var number: Int?
    }

    let isAny: Bool
    private let weekdays: Set<Int>
    private let counted: Set<Counted>

    init(_ text: String) throws(ScheduleError) {
        let field = CronField(name: "day of the week", range: 0...7, names: CronField.weekdays)
        var weekdays: Set<Int> = []
        var counted: Set<Counted> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            if let hash = part.firstIndex(of: "#") {
                guard let number = Int(part[part.index(after: hash)...]), (1...5).contains(number) else {
                    throw ScheduleError("\"\(part)\" as the day of the week: after # comes a number from 1 to 5")
                }
                counted.insert(Counted(weekday: try field.value(String(part[..<hash])) % 7, number: number))
            } else if part.count > 1, part.uppercased().hasSuffix("L"),
                let weekday = try? field.value(String(part.dropLast()))
            {
                counted.insert(Counted(weekday: weekday % 7, number: nil))
            } else {
                weekdays.formUnion(try field.values(part).map { $0 % 7 })
            }
        }
        isAny = text.hasPrefix("*")
        self.weekdays = weekdays
        self.counted = counted
    }

    func include(_ day: LocalDay) -> Bool {
        let weekday = day.weekday
        if weekdays.contains(weekday) { return true }
        return counted.contains { counted in
            guard counted.weekday == weekday else { return false }
            guard let number = counted.number else { return day.isInLastWeekOfMonth }
            return (day.day - 1) / 7 + 1 == number
        }
    }
}
