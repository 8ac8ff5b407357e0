import Foundation

/// Says when a cron schedule is due by looking at every minute of a stretch of time, as Foundation's calendar shows it.
///
/// Shares nothing with what it checks: neither the reading of expressions, nor the arithmetic of days, nor that of zones.
struct ScheduleOracle {
    struct Row {
        var instant: Int
        /// Seconds since the beginning of the first row's day, as clocks show them.
        var shown: Int
    }

    struct Expected: Equatable, CustomStringConvertible {
        var instant: Int
        var id: String

        var description: String { "\(id)@\(instant)" }
    }

    private static let day = 86_400

    private var rows: [Row] = []
    /// The days of the calendar from the first row's to the last one's, whether or not the zone has them.
    private var days: [DateComponents] = []
    /// When clocks first show a time.
    private var first: [Int: Int] = [:]
    private let daysOfZone: Set<Int>

    /// - Parameters:
    ///   - step: In seconds.
    init(zone: TimeZone, from start: Int, through end: Int, step: Int = 60) {
        var calendar = Calendar(identifier: .gregorian)
        calendar.locale = Locale(identifier: "en_US_POSIX")
        calendar.timeZone = zone
        var anywhere = calendar
        anywhere.timeZone = .gmt
        let parts: Set<Calendar.Component> = [.year, .month, .day, .hour, .minute, .second]
        var origin: Date?
        for instant in stride(from: start, through: end, by: step) {
            let date = calendar.dateComponents(parts, from: Date(timeIntervalSince1970: Double(instant)))
            guard let shown = anywhere.date(from: date) else { continue }
            if origin == nil { origin = anywhere.startOfDay(for: shown) }
            rows.append(Row(instant: instant, shown: Int(shown.timeIntervalSince(origin ?? shown))))
        }
        for row in rows where first[row.shown] == nil { first[row.shown] = row.instant }
        daysOfZone = Set(rows.map { $0.shown / Self.day })
        for day in 0...(rows.map(\.shown).max() ?? 0) / Self.day {
            guard let date = origin.flatMap({ anywhere.date(byAdding: .day, value: day, to: $0) }) else { continue }
            days.append(anywhere.dateComponents([.year, .month, .day, .weekday], from: date))
        }
    }

    /// The instants of a stretch of time at which a schedule is due, each once.
    func expected(_ cron: NaiveCron, after start: Int, through end: Int) -> [Expected] {
        let named = days.map(cron.names(day:))
        let found = cron.isRealTime ? inRealTime(cron, named) : timesOfDays(cron, named)
        return found.filter { start < $0.instant && $0.instant <= end }
    }

    private func inRealTime(_ cron: NaiveCron, _ named: [Bool]) -> [Expected] {
        rows.filter { row in
            let (day, rest) = row.shown.quotientAndRemainder(dividingBy: Self.day)
            return rest % 60 == 0 && named[day] && cron.times[rest / 60]
        }
        .map { row in
            let instant = Date(timeIntervalSince1970: Double(row.instant))
            return Expected(instant: row.instant, id: instant.formatted(.iso8601))
        }
    }

    private func timesOfDays(_ cron: NaiveCron, _ named: [Bool]) -> [Expected] {
        var found: [Expected] = []
        for day in days.indices where named[day] && daysOfZone.contains(day) {
            for time in 0..<1440 where cron.times[time] {
                let wanted = day * Self.day + time * 60
                let jump = { zip(rows, rows.dropFirst()).first { $0.shown < wanted && wanted < $1.shown }?.1.instant }
                // The stretch may begin or end within the day.
                guard let instant = first[wanted] ?? jump(), found.last?.instant != instant else { continue }
                let (date, time) = (days[day], [time / 60, time % 60])
                let id = String(
                    format: "%04d-%02d-%02dT%02d:%02d", date.year ?? 0, date.month ?? 0, date.day ?? 0, time[0], time[1]
                )
                found.append(Expected(instant: instant, id: id))
            }
        }
        return found
    }
}

/// A reading of cron's fields as plain as it can be.
struct NaiveCron {
    let text: String
    /// Whether each minute of a day is named.
    let times: [Bool]
    private let fields: [String]
    private let months: Set<Int>
    private let calendar: Calendar

    init(_ text: String) {
        self.text = text
        let fields = text.split(separator: " ").map { $0.uppercased() }
        self.fields = fields
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        self.calendar = calendar
        let (minutes, hours) = (Self.values(fields[0], 0...59), Self.values(fields[1], 0...23))
        times = (0..<1440).map { hours.contains($0 / 60) && minutes.contains($0 % 60) }
        months = Self.values(fields[3], 1...12)
    }

    var isRealTime: Bool { fields[1].hasPrefix("*") }

    func names(day date: DateComponents) -> Bool {
        guard months.contains(date.month ?? -1), let day = date.day, let weekday = date.weekday else { return false }
        func length() -> Int {
            let middle = calendar.date(from: DateComponents(year: date.year, month: date.month, day: 15))
            return calendar.range(of: .day, in: .month, for: middle ?? .distantPast)?.count ?? 0
        }
        let byDay = fields[2].split(separator: ",").contains { part in
            part == "L" ? day == length() : Self.values(String(part), 1...31).contains(day)
        }
        let byWeekday = fields[4].split(separator: ",").contains { part in
            if let hash = part.split(separator: "#").dropFirst().first {
                return Self.weekday(part.prefix { $0 != "#" }) == weekday - 1 && (day - 1) / 7 + 1 == Int(hash)
            }
            if part.count > 1, part.hasSuffix("L"), let last = Self.weekday(part.dropLast()) {
                return last == weekday - 1 && day + 7 > length()
            }
            if let named = Self.weekday(part) { return named == weekday - 1 }
            let values = Self.values(String(part), 0...7)
            return values.contains(weekday - 1) || (weekday == 1 && values.contains(7))
        }
        let isAnd = fields[2].hasPrefix("*") || fields[4].hasPrefix("*")
        return isAnd ? byDay && byWeekday : byDay || byWeekday
    }

    private static func weekday(_ text: some StringProtocol) -> Int? {
        if let number = Int(text) { return number % 7 }
        return ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"].firstIndex(of: String(text))
    }

    private static func values(_ text: String, _ range: ClosedRange<Int>) -> Set<Int> {
        Set(
            text.split(separator: ",").flatMap { part -> [Int] in
                let halves = part.split(separator: "/")
                let bounds = halves[0].split(separator: "-").map { Int($0) ?? -1 }
                let ends = halves[0] == "*" ? [range.lowerBound, range.upperBound] : bounds
                let upper = ends.count > 1 ? ends[1] : halves.count > 1 ? range.upperBound : ends[0]
                let step = halves.count > 1 ? Int(halves[1]) ?? 1 : 1
                return range.filter { $0 >= ends[0] && $0 <= upper && ($0 - ends[0]) % step == 0 }
            })
    }
}
