import Foundation
import Testing

@testable import ZooKeeperRecipes

@Suite struct ScheduleTests {
    private let newYork = "America/New_York"

    private func instant(_ text: String) throws -> Date {
        try Date(text, strategy: .iso8601)
    }

    private func next(_ schedule: Schedule, after text: String, count: Int) throws -> [Schedule.Period] {
        var periods: [Schedule.Period] = []
        var last = try instant(text)
        for _ in 0..<count {
            let period = try #require(schedule.next(after: last))
            periods.append(period)
            last = period.start
        }
        return periods
    }

    @Test func `a daily schedule strikes at its local time, summer and winter`() throws {
        let schedule = try Schedule.daily(at: TimeOfDay(hour: 9), in: "Europe/Berlin")
        let periods = try next(schedule, after: "2026-03-27T12:00:00Z", count: 3)
        #expect(periods.map(\.id) == ["2026-03-28", "2026-03-29", "2026-03-30"])
        #expect(
            try periods.map(\.start) == [
                instant("2026-03-28T08:00:00Z"), instant("2026-03-29T07:00:00Z"), instant("2026-03-30T07:00:00Z"),
            ])
        #expect(periods[0].end == periods[1].start)
        #expect(periods.allSatisfy { $0.remark == nil })
    }

    @Test func `days are counted as a calendar counts them`() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        for number in stride(from: -50_000, through: 150_000, by: 37) {
            let day = LocalDay(number: number)
            let date = Date(timeIntervalSince1970: Double(number) * 86_400)
            let parts = calendar.dateComponents([.year, .month, .day, .weekday], from: date)
            #expect(parts.year == day.year && parts.month == day.month && parts.day == day.day)
            #expect(parts.weekday == day.weekday + 1)
            #expect(LocalDay(year: day.year, month: day.month, day: day.day)?.number == number)
        }
        #expect(LocalDay(year: 2100, month: 2, day: 29) == nil)
        #expect(LocalDay(year: 2000, month: 2, day: 29)?.isLastOfMonth == true)
    }

    @Test func `a local time that does not exist is struck at the first instant after it, once`() throws {
        let schedule = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: newYork)
        let periods = try next(schedule, after: "2026-03-07T00:00:00Z", count: 3)
        #expect(periods.map(\.id) == ["2026-03-07", "2026-03-08", "2026-03-09"])
        #expect(
            try periods.map(\.start) == [
                instant("2026-03-07T07:30:00Z"), instant("2026-03-08T07:00:00Z"), instant("2026-03-09T06:30:00Z"),
            ])
        #expect(periods[1].remark?.contains("there is no 02:30 on 2026-03-08") == true)
        #expect(periods[0].remark == nil)
    }

    @Test func `a local time that comes twice is struck at the first`() throws {
        let schedule = try Schedule.daily(at: TimeOfDay(hour: 1, minute: 30), in: newYork)
        let periods = try next(schedule, after: "2026-10-31T12:00:00Z", count: 2)
        #expect(periods.map(\.id) == ["2026-11-01", "2026-11-02"])
        #expect(try periods.map(\.start) == [instant("2026-11-01T05:30:00Z"), instant("2026-11-02T06:30:00Z")])
        #expect(periods[0].remark?.contains("twice") == true)
    }

    @Test(arguments: [
        "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo",
    ])
    func `ten years have each local day once, at whatever time`(zone: String) throws {
        for time in [(0, 0), (0, 30), (1, 30), (2, 0), (2, 30), (23, 59)] {
            let schedule = try Schedule.daily(at: TimeOfDay(hour: time.0, minute: time.1), in: zone)
            let periods = try schedule.periods(
                after: instant("2015-12-31T20:00:00Z"), through: instant("2025-12-31T20:00:00Z"))
            #expect((3652...3655).contains(periods.count))
            #expect(Set(periods.map(\.id)).count == periods.count)
            let gaps = zip(periods, periods.dropFirst()).map { $1.start.timeIntervalSince($0.start) }
            #expect(gaps.allSatisfy { (82_000...91_000).contains($0) })
        }
    }

    @Test func `a day that a zone leaves out has no period`() throws {
        let schedule = try Schedule.daily(at: TimeOfDay(hour: 12), in: "Pacific/Apia")
        let periods = try next(schedule, after: "2011-12-29T00:00:00Z", count: 3)
        #expect(periods.map(\.id) == ["2011-12-29", "2011-12-31", "2012-01-01"])
    }

    @Test func `cron hours that are named are hours of the local day`() throws {
        let schedule = try Schedule.cron("30 1,2 * * *", in: newYork)
        let spring = try next(schedule, after: "2026-03-08T05:00:00Z", count: 3)
        #expect(spring.map(\.id) == ["2026-03-08T01:30", "2026-03-08T02:30", "2026-03-09T01:30"])
        #expect(try spring[1].start == instant("2026-03-08T07:00:00Z"))
        let autumn = try next(schedule, after: "2026-11-01T04:00:00Z", count: 3)
        #expect(autumn.map(\.id) == ["2026-11-01T01:30", "2026-11-01T02:30", "2026-11-02T01:30"])
    }

    @Test func `cron with the hour left open means real time`() throws {
        let schedule = try Schedule.cron("*/30 * * * *", in: newYork)
        let spring = try next(schedule, after: "2026-03-08T06:00:00Z", count: 3)
        #expect(spring.map(\.id) == ["2026-03-08T06:30:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"])
        let autumn = try next(schedule, after: "2026-11-01T04:50:00Z", count: 6)
        #expect(
            autumn.map(\.id) == [
                "2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:30:00Z",
                "2026-11-01T07:00:00Z", "2026-11-01T07:30:00Z",
            ])
        #expect(autumn[0].remark == "01:00 comes twice on 2026-11-01: the first")
        #expect(autumn[3].remark == "01:30 comes twice on 2026-11-01: the second")
        let distances = zip(autumn, autumn.dropFirst()).map { $1.start.timeIntervalSince($0.start) }
        #expect(distances == Array(repeating: 1800, count: 5))
    }

    @Test func `an interval knows no zones`() throws {
        let schedule = try Schedule.every(.seconds(900), from: instant("2026-01-01T00:05:00Z"))
        let periods = try next(schedule, after: "2026-03-08T06:55:00Z", count: 2)
        #expect(periods.map(\.id) == ["2026-03-08T07:05:00Z", "2026-03-08T07:20:00Z"])
        #expect(try schedule.latest(at: instant("2026-03-08T07:05:00Z"))?.id == "2026-03-08T07:05:00Z")
        #expect(try schedule.latest(at: instant("2026-03-08T07:04:59Z"))?.id == "2026-03-08T06:50:00Z")
    }

    @Test(arguments: ["30 2 * * *", "*/7 * * * *", "0 0 29 2 *", "0 12 * * FRI#2", "15 3 L * *"])
    func `the latest period is the last that the next ones come to`(expression: String) throws {
        let schedule = try Schedule.cron(expression, in: newYork)
        var last = try instant("2026-10-31T00:00:00Z")
        for _ in 0..<20 {
            let period = try #require(schedule.next(after: last))
            #expect(schedule.latest(at: period.start) == period)
            #expect(schedule.latest(at: period.start.addingTimeInterval(1)) == period)
            if let end = period.end { #expect(schedule.latest(at: end.addingTimeInterval(-1)) == period) }
            last = period.start
        }
    }

    @Test(arguments: ["30 2 * * *", "*/7 * * * *", "0,30 1-3 * * *", "15 */3 * * *"])
    func `names are in the order of time, also when clocks change`(expression: String) throws {
        let schedule = try Schedule.cron(expression, in: newYork)
        for (start, end) in [
            ("2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z"), ("2026-10-31T00:00:00Z", "2026-11-03T00:00:00Z"),
        ] {
            let periods = try schedule.periods(after: instant(start), through: instant(end))
            #expect(periods.map(\.id) == periods.map(\.id).sorted())
            #expect(Set(periods.map(\.id)).count == periods.count)
        }
    }

    @Test func `what cannot be is refused`() throws {
        #expect(throws: ScheduleError.self) { try Schedule.daily(at: TimeOfDay(hour: 24), in: "UTC") }
        #expect(throws: ScheduleError.self) { try Schedule.daily(at: TimeOfDay(hour: 1), in: "Mars/Olympus") }
        #expect(throws: ScheduleError.self) { try Schedule.every(.milliseconds(1500)) }
        #expect(throws: ScheduleError.self) { try Schedule.every(.zero) }
        let error = try #require(throws: ScheduleError.self) { try Schedule.cron("0 0 31 2 *", in: "UTC") }
        #expect(error.description.contains("no day"))
    }
}
