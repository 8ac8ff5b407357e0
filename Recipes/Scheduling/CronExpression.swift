internal import ZooKeeper

/// A cron expression: five fields that name local times.
///
/// | field | values | in addition to `*`, lists, ranges and steps |
/// |---|---|---|
/// | minute | 0-59 | |
/// | hour | 0-23 | |
/// | day of the month | 1-31 | `L`, the last day |
/// | month | 1-12, JAN-DEC | |
/// | day of the week | 0-7, SUN-SAT; 0 and 7 are Sunday | `FRI#2`, the second Friday; `5L` or `FRIL`, the last Friday |
///
/// The two day fields are combined as in Vixie cron. If one of them starts with `*`, a day must match both: `0 0 */2 *
/// MON` names the Mondays among the odd days of each month. Otherwise a match of either field is enough: `0 0 13 * FRI`
/// names each 13th and each Friday.
public struct CronExpression: Sendable, Hashable, CustomStringConvertible {
    /// The expression, with its fields separated by single spaces.
    public let description: String

    let minutes: ValueSet
    let hours: ValueSet
    let days: DaysOfMonth
    let months: ValueSet
    let weekdays: DaysOfWeek
    /// Whether the hour field starts with `*`.
    ///
    /// The schedule then refers to real time, not to hours of a local day.
    let isAnyHour: Bool

    /// Parses an expression.
    ///
    /// - Parameter text: Five fields, separated by white space.
    /// - Throws: ``ScheduleError``, which names the field, the error and the valid values.
    public init(_ text: String) throws(ScheduleError) {
        let fields = text.split(whereSeparator: \.isWhitespace).map(String.init)
        guard fields.count == 5 else {
            throw ScheduleError(
                "\"\(text)\" has \(fields.count) \(noun("field", for: fields.count)); a schedule has five: minute, hour, day of the month, month, "
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

    /// Creates an expression for one time of each day.
    init(dailyAt time: TimeOfDay) {
        description = "\(time.minute) \(time.hour) * * *"
        minutes = ValueSet(CollectionOfOne(time.minute))
        hours = ValueSet(CollectionOfOne(time.hour))
        days = .all
        months = ValueSet(1...12)
        weekdays = .all
        isAnyHour = false
    }

    /// Returns whether the expression includes a day.
    func includes(_ day: LocalDay) -> Bool {
        days(of: LocalMonth(year: day.year, month: day.month)).contains(day.day)
    }

    /// Returns the days of a month that the expression includes.
    private func days(of month: LocalMonth) -> ValueSet {
        guard months.contains(month.month) else { return ValueSet() }
        let byNumber = days.days(of: month)
        let mustBeInBoth = days.isStarred || weekdays.isStarred
        if mustBeInBoth, byNumber.isEmpty || weekdays.isEveryDay { return byNumber }
        let byWeekday = weekdays.days(of: month)
        return mustBeInBoth ? byNumber.intersection(byWeekday) : byNumber.union(byWeekday)
    }
}

// Local times count minutes since 1970-01-01 00:00 in the same time zone.
extension CronExpression {
    /// The search horizon: the rarest days, a 29 February on a certain weekday, are at most 40 years apart.
    static let horizonInYears = 50

    private static let day = 1440

    /// Returns the first named minute at or after another; `nil` if there is none within 50 years.
    func first(from minute: Int) -> Int? {
        let (number, rest) = minute.dividedDown(by: Self.day)
        guard let day = firstDay(from: number) else { return nil }
        if day > number { return firstTime(from: 0).map { day * Self.day + $0 } }
        if let time = firstTime(from: rest) { return day * Self.day + time }
        return first(from: (number + 1) * Self.day)
    }

    /// Returns the last named minute at or before another; `nil` if there is none within 50 years.
    func last(through minute: Int) -> Int? {
        let (number, rest) = minute.dividedDown(by: Self.day)
        guard let day = lastDay(through: number) else { return nil }
        if day < number { return lastTime(through: Self.day - 1).map { day * Self.day + $0 } }
        if let time = lastTime(through: rest) { return day * Self.day + time }
        return last(through: number * Self.day - 1)
    }

    private func firstDay(from number: Int) -> Int? {
        let day = LocalDay(number: number)
        var (month, lowest) = (LocalMonth(year: day.year, month: day.month), day.day)
        while month.year <= day.year + Self.horizonInYears {
            if let found = days(of: month).first(from: lowest) { return month.firstNumber + found - 1 }
            lowest = 1
            if let later = months.first(from: month.month + 1) {
                month.month = later
            } else {
                month = LocalMonth(year: month.year + 1, month: months.first(from: 1) ?? 1)
            }
        }
        return nil
    }

    private func lastDay(through number: Int) -> Int? {
        let day = LocalDay(number: number)
        var (month, highest) = (LocalMonth(year: day.year, month: day.month), day.day)
        while month.year >= day.year - Self.horizonInYears {
            if let found = days(of: month).last(through: highest) { return month.firstNumber + found - 1 }
            highest = 31
            if let earlier = months.last(through: month.month - 1) {
                month.month = earlier
            } else {
                month = LocalMonth(year: month.year - 1, month: months.last(through: 12) ?? 12)
            }
        }
        return nil
    }

    private func firstTime(from minuteOfDay: Int) -> Int? {
        let (hour, minute) = minuteOfDay.quotientAndRemainder(dividingBy: 60)
        if hours.contains(hour), let found = minutes.first(from: minute) { return hour * 60 + found }
        guard let later = hours.first(from: hour + 1), let found = minutes.first(from: 0) else { return nil }
        return later * 60 + found
    }

    private func lastTime(through minuteOfDay: Int) -> Int? {
        let (hour, minute) = minuteOfDay.quotientAndRemainder(dividingBy: 60)
        if hours.contains(hour), let found = minutes.last(through: minute) { return hour * 60 + found }
        guard hour > 0, let earlier = hours.last(through: hour - 1), let found = minutes.last(through: 59) else {
            return nil
        }
        return earlier * 60 + found
    }
}

/// The third field: days of the month.
struct DaysOfMonth: Sendable, Hashable {
    /// Whether the field starts with `*`.
    let isStarred: Bool
    private let numbers: ValueSet
    private let includesLast: Bool

    static let all = DaysOfMonth(isStarred: true, numbers: ValueSet(1...31), includesLast: false)

    private init(isStarred: Bool, numbers: ValueSet, includesLast: Bool) {
        self.isStarred = isStarred
        self.numbers = numbers
        self.includesLast = includesLast
    }

    init(_ text: String) throws(ScheduleError) {
        var numbers = ValueSet()
        var includesLast = false
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            if part == "L" || part == "l" {
                includesLast = true
            } else {
                try numbers.formUnion(CronField(name: "day of the month", range: 1...31).values(String(part)))
            }
        }
        self.init(isStarred: text.hasPrefix("*"), numbers: numbers, includesLast: includesLast)
    }

    func days(of month: LocalMonth) -> ValueSet {
        let length = month.length
        var days = numbers.intersection(.upTo(length))
        if includesLast { days.insert(length) }
        return days
    }
}

/// The fifth field: days of the week, from 0 for Sunday to 6.
struct DaysOfWeek: Sendable, Hashable {
    private struct Counted: Hashable {
        var weekday: Int
        /// From 1 to 5; `nil` for the last one of a month.
        var number: Int?
    }

    /// Whether the field starts with `*`.
    let isStarred: Bool
    private let weekdays: ValueSet
    private let counted: Set<Counted>

    static let all = DaysOfWeek(isStarred: true, weekdays: ValueSet(0...6), counted: [])

    private init(isStarred: Bool, weekdays: ValueSet, counted: Set<Counted>) {
        self.isStarred = isStarred
        self.weekdays = weekdays
        self.counted = counted
    }

    init(_ text: String) throws(ScheduleError) {
        let field = CronField(name: "day of the week", range: 0...7, names: CronField.weekdays)
        var weekdays = ValueSet()
        var counted: Set<Counted> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            if let hash = part.firstIndex(of: "#") {
                let number = Int(digits: part[part.index(after: hash)...].utf8)
                guard let number, (1...5).contains(number) else {
                    throw ScheduleError("\"\(part)\" as the day of the week: after # comes a number from 1 to 5")
                }
                counted.insert(Counted(weekday: try field.value(String(part[..<hash])) % 7, number: number))
            } else if part.count > 1, part.hasSuffix("L") || part.hasSuffix("l"),
                let weekday = try? field.value(String(part.dropLast()))
            {
                counted.insert(Counted(weekday: weekday % 7, number: nil))
            } else {
                weekdays.formUnion(ValueSet(try field.values(part).map { $0 % 7 }))
            }
        }
        self.init(isStarred: text.hasPrefix("*"), weekdays: weekdays, counted: counted)
    }

    /// Whether the field includes every day of every month.
    var isEveryDay: Bool { weekdays == Self.all.weekdays }

    func days(of month: LocalMonth) -> ValueSet {
        let (length, weekday) = (month.length, LocalDay(number: month.firstNumber).weekday)
        /// Returns the first day of the month that falls on a weekday.
        func first(_ wanted: Int) -> Int { 1 + (wanted - weekday + 7) % 7 }
        var days = ValueSet()
        for wanted in weekdays {
            for day in stride(from: first(wanted), through: length, by: 7) { days.insert(day) }
        }
        for counted in counted {
            let first = first(counted.weekday)
            let day = first + 7 * (counted.number.map { $0 - 1 } ?? (length - first) / 7)
            if day <= length { days.insert(day) }
        }
        return days
    }
}
