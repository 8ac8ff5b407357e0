import Testing
import ZooKeeper

@testable import ZooKeeperScheduling

@Suite struct PeriodRangeTests {
    private let now = Timestamp(seconds: 1_780_000_000)

    private static var schedules: [Schedule] {
        get throws {
            [
                try .daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York"),
                try .cron("0 9 * * MON-FRI", in: "Europe/Berlin"), try .cron("*/15 * * * *", in: "UTC"),
                try .every(.seconds(900), from: Timestamp(seconds: 17)), try .every(.seconds(86_400)), .onLeadership,
            ]
        }
    }

    @Test func `a schedule that is stored with the clock has the same periods when it is read`() throws {
        for schedule in try Self.schedules {
            let record = ClockRecord(participantID: "a=b\nc", schedule: schedule)
            let read = ClockRecord(record.bytes)
            #expect(read.participantID == "a=b\nc")
            let stored = try #require(read.schedule, "\(schedule)")
            #expect(stored.description == schedule.description)
            let (start, end) = (now - .seconds(20 * 86_400), now)
            #expect(stored.periods(after: start, through: end) == schedule.periods(after: start, through: end))
        }
    }

    @Test(arguments: [
        "", "web-1", "node=a\nschedule=daily\ntime=25:00\nzone=UTC\n", "schedule=daily\ntime=02:30\nzone=Mars\n",
        "schedule=cron\ncron=61 * * * *\nzone=UTC\n", "schedule=cron\nzone=UTC\n", "schedule=every\nseconds=0\n",
        "schedule=every\nseconds=9223372036854775807\nfrom=1970-01-01T00:00:00Z\n", "schedule=hourly\n",
    ])
    func `a record without a valid schedule has none`(text: String) {
        #expect(ClockRecord(Array(text.utf8)).schedule == nil)
    }

    @Test func `the count is that of the periods in the range that have started`() throws {
        for schedule in try Self.schedules where !schedule.isWithLeadership {
            let (from, through) = (now - .seconds(7 * 86_400), now + .seconds(7 * 86_400))
            let expected = schedule.periods(after: from - .milliseconds(1), through: now)
            guard case .periods(let range) = schedule.count(from: from, through: through, now: now, limit: 1000) else {
                Issue.record("nothing was counted for \(schedule)")
                continue
            }
            #expect(range.count == expected.count && range.first == expected.first && range.last == expected.last)
        }
    }

    @Test func `a range may contain as many periods as the limit, and not more`() throws {
        let schedule = try Schedule.every(.seconds(60))
        let start = Timestamp(seconds: 600)
        for (minutes, limit, count) in [(0, 1, 1), (1, 2, 2), (9, 10, 10), (1, 1, nil), (10, 10, nil)] {
            let counted = schedule.count(
                from: start, through: start + .seconds(60 * minutes), now: now, limit: limit)
            guard let count else {
                #expect(counted == .tooMany)
                continue
            }
            guard case .periods(let range) = counted else {
                Issue.record("\(counted)")
                continue
            }
            #expect(range.count == count)
        }
    }

    @Test func `a range that has not started, or that no period starts in, has none`() throws {
        let schedule = try Schedule.every(.seconds(3600))
        let hour = Timestamp(seconds: 3600)
        let later = now + .seconds(10)
        #expect(schedule.count(from: later, through: later + .seconds(86_400), now: now, limit: 9) == .none)
        let between = hour + .milliseconds(1)
        #expect(schedule.count(from: between, through: hour + .seconds(3599), now: now, limit: 9) == .none)
        #expect(Schedule.onLeadership.count(from: hour, through: now, now: now, limit: 9) == .none)
        // All of time stops at the limit.
        let (first, last) = (Timestamp(seconds: -62_135_596_800), Timestamp(seconds: 253_402_300_799))
        #expect(try Schedule.every(.seconds(1)).count(from: first, through: last, now: now, limit: 366) == .tooMany)
    }

    @Test func `only the kinds that are named are removed from the operators' commands`() {
        var all = OperatorCommands()
        all.pause = OperatorCommands.Pause(reason: "noon", requestedBy: "ada")
        all.runRequests = ["ada", "bob"]
        all.skipRequests = ["eve"]
        all.backfill = OperatorCommands.Backfill(from: now, through: now, requestedBy: "bob")
        all.decisions["2026-03-07"] = .rerun
        for kinds in [[], [.now], [.skip], [.backfill], [.now, .skip, .backfill]] as [Set<OperatorCommands.Kind>] {
            var left = all
            let removed = left.remove(kinds)
            #expect(removed.runRequests == (kinds.contains(.now) ? all.runRequests : []))
            #expect(removed.skipRequests == (kinds.contains(.skip) ? all.skipRequests : []))
            #expect(removed.backfill == (kinds.contains(.backfill) ? all.backfill : nil))
            #expect(removed.pause == nil && removed.decisions.isEmpty)
            #expect(left.runRequests.count + removed.runRequests.count == 2)
            #expect(left.skipRequests.count + removed.skipRequests.count == 1)
            #expect((left.backfill == nil) == kinds.contains(.backfill))
            #expect(left.pause == all.pause && left.decisions == all.decisions)
        }
    }
}
