import Foundation
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling

/// Schedules against an oracle that looks at every minute, where clocks change.
@Suite struct ScheduleOracleTests {
    static let day = 86_400
    static let expressions = [
        "* * * * *", "*/30 * * * *", "*/7 */2 * * *", "59 */12 * * *", "0 */24 * * *", "15 * */2 * SUN",
        "30 23 * * *", "0 0 * * *", "1 0 * * *", "0 2,3 * * *", "0 0,23 * * *", "*/15 0-3 * * *", "* 2 * * *",
        "45 22,23 * * *", "0,30 1-3 * * *", "30 12 * * *", "30 2 * * SUN", "30 23 * * 6", "0 0 */2 * *",
        "0 0 * * */2", "0 0 */2 * MON", "0 0 1 * */2", "0 12 13,28 * FRI", "15 3 L * *", "0 0 * * FRI#2,5L",
    ].map(NaiveCron.init)

    /// Zones with changes by 1 h, 30 min, 20 min, 2 h, 24 h, at midnight, at one minute past it, before it, and two a month.
    static let zones: [(name: String, years: ClosedRange<Int>)] = [
        ("UTC", 2026...2026), ("America/New_York", 2026...2026), ("Europe/London", 1971...1972),
        ("Europe/London", 2026...2026), ("America/Nuuk", 2023...2026), ("America/St_Johns", 2006...2011),
        ("Pacific/Apia", 2010...2012), ("Asia/Tehran", 2021...2022), ("Africa/Cairo", 2010...2010),
        ("Africa/Cairo", 2014...2014), ("Africa/Cairo", 2023...2024), ("Asia/Beirut", 2022...2023),
        ("America/Asuncion", 2023...2024), ("America/Sao_Paulo", 2017...2019), ("Australia/Lord_Howe", 2025...2026),
        ("Antarctica/Troll", 2025...2026), ("Pacific/Kwajalein", 1993...1993), ("Pacific/Kwajalein", 1969...1969),
        ("Pacific/Kiritimati", 1994...1995), ("Africa/Casablanca", 2012...2012), ("Asia/Kathmandu", 1985...1986),
        ("America/Caracas", 2007...2007), ("Asia/Pyongyang", 2015...2018), ("Africa/Monrovia", 1971...1972),
        ("America/Havana", 2025...2025), ("Asia/Gaza", 2023...2023), ("Pacific/Chatham", 2026...2026),
    ]

    /// The instants of some years at which clocks change, to the hour; the middle of the first year if there are none.
    private static func changes(_ zone: TimeZone, _ years: ClosedRange<Int>) -> [Int] {
        func offset(_ instant: Int) -> Int {
            zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant)))
        }
        let start = (years.lowerBound - 1970) * 31_556_952 / 3600 * 3600
        let hours = stride(from: start, through: start + years.count * 31_556_952, by: 3600)
        let changes = hours.filter { offset($0) != offset($0 - 3600) }
        return changes.isEmpty ? [start + 182 * day] : changes
    }

    @Test(arguments: zones)
    func `schedules are due when a look at every minute says so`(zone name: String, years: ClosedRange<Int>) throws {
        let zone = try #require(TimeZone(identifier: name))
        for change in Self.changes(zone, years) {
            let oracle = ScheduleOracle(
                zone: zone, from: change - 5 * Self.day / 2, through: change + 5 * Self.day / 2,
                step: name == "Africa/Monrovia" ? 30 : 60)
            let (start, end) = (change - 3 * Self.day / 2, change + 3 * Self.day / 2)
            for cron in Self.expressions {
                // All of three days are many where every minute is due.
                let span = cron.text.hasPrefix("*") ? 3 * 3600 : 3 * Self.day
                try check(cron, name, oracle, after: max(start, change - span), through: min(end, change + span))
            }
        }
    }

    /// Holds every way to ask to what is expected: the list, one after the other, and backwards.
    private func check(
        _ cron: NaiveCron, _ zone: String, _ oracle: ScheduleOracle, after start: Int, through end: Int
    ) throws {
        let (text, expected) = (cron.text, oracle.expected(cron, after: start, through: end))
        func time(_ instant: Int) -> Timestamp { Timestamp(seconds: instant) }
        let schedule = try Schedule.cron(text, in: zone)
        let place: Comment = "\(text) in \(zone) at \(time((start + end) / 2))"
        let periods = schedule.periods(after: time(start), through: time(end))
        let found = periods.map { ScheduleOracle.Expected(instant: $0.start.seconds, id: $0.id) }
        guard found == expected else {
            let wrong = zip(found, expected).first { $0 != $1 }
            let counts = "\(found.count) of \(expected.count), first \(String(describing: wrong))"
            return #expect(Bool(false), "\(place): \(counts)")
        }
        #expect(periods.map(\.id) == periods.map(\.id).sorted(), place)
        var last = time(start)
        for period in periods {
            guard schedule.next(after: last) == period, schedule.latest(at: period.start) == period,
                schedule.latest(at: period.start + .milliseconds(500)) == period,
                period.end.map({ schedule.latest(at: $0 - .milliseconds(500)) == period }) ?? true,
                schedule.next(after: period.start - .milliseconds(500)) == period
            else { return #expect(Bool(false), "\(place): \(period)") }
            last = period.start
        }
    }

    @Test(arguments: ["America/Nuuk", "Africa/Cairo"])
    func `a year of every minute names the same days`(name: String) throws {
        let zone = try #require(TimeZone(identifier: name))
        let start = 1_767_225_600
        let end = start + 366 * Self.day
        let oracle = ScheduleOracle(zone: zone, from: start - Self.day, through: end + Self.day)
        for text in ["30 23 * * *", "30 23 * * SAT", "0 0 */2 * MON", "0 0 1 * */2", "0 */8 L * *", "30 23 28 3 *"] {
            try check(NaiveCron(text), name, oracle, after: start, through: end)
        }
    }
}
