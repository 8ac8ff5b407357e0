import Foundation
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling

@Suite struct RunRecordTests {
    private func record() throws -> RunRecord {
        let schedule = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
        let period = try #require(schedule.next(after: Timestamp(scheduleText: "2026-03-08T00:00:00Z")))
        var record = RunRecord(
            period, kind: .scheduled, state: .failed, participantID: "n\n1", term: FencingToken(rawValue: 4))
        record.token = FencingToken(rawValue: 7)
        record.attempt = 3
        record.claimedAt = period.start + .milliseconds(250)
        record.startedAt = period.start + .milliseconds(1500)
        record.endedAt = period.start + .seconds(3)
        record.message = "a=b\nc\\"
        record.checkpoint = "row=17\n"
        record.previousAttempts = [
            .init(number: 1, participantID: "n2", token: FencingToken(rawValue: 5), reason: "died\tthere"),
            .init(number: 2, participantID: "n3", token: nil, reason: ""),
        ]
        record.window = .init(
            token: FencingToken(rawValue: 8), processors: 3, drainDuration: .milliseconds(40), slowestProcessor: "p3",
            evicted: ["p1", "p2"], resumed: .milliseconds(1600))
        return record
    }

    @Test func `a record is read as it was written`() throws {
        let record = try record()
        #expect(RunRecord(record.bytes) == record)
        #expect(record.duration == .milliseconds(1500))
        #expect(record.note?.contains("there is no 02:30") == true)
    }

    @Test func `what is no record is told from one`() throws {
        #expect(RunRecord(Array("period=1\n".utf8)) == nil)
        #expect(RunRecord([0xff, 0xfe]) == nil)
        #expect(RunRecord([]) == nil)
    }

    @Test func `numbers beyond measure in a record do no harm`() throws {
        let text = String(decoding: try record().bytes, as: UTF8.self)
        let huge = ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e300", "inf", "nan", ""]
        for key in ["start", "end", "claimed", "started", "ended"] {
            for number in huge {
                for date in [
                    "\(number)-01-01T00:00:00Z", "2026-01-01T\(number):00:00Z", "2026-01-01T00:00:\(number)Z", number,
                ] {
                    let bytes = Array((text + "\(key)=\(date)\n").utf8)
                    let read = RunRecord(bytes)
                    #expect((read == nil) == (key == "start"), "\(key)=\(date)")
                    _ = read?.duration
                }
            }
        }
        for key in ["attempt", "attempt.1", "window.processors", "window.drained", "window.resumed", "token", "term"] {
            for number in huge {
                guard let read = RunRecord(Array((text + "\(key)=\(number)\n").utf8)) else { continue }
                #expect((1..<1_000_000_000).contains(read.attempt))
                _ = read.bytes
            }
        }
    }

    @Test func `a record with an attempt beyond measure is begun again`() throws {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        try model.move(to: "2026-05-04T06:30:00Z")
        let run = try #require(model.step())
        for attempt in ["9223372036854775807", "999999999", "-1"] {
            let text = String(decoding: run.bytes, as: UTF8.self) + "attempt=\(attempt)\n"
            model.records[run.period] = RunRecord(Array(text.utf8))
            model.takeover(by: "n2")
            #expect(model.step()?.participantID == "n2")
        }
    }

    @Test func `a duration is told whatever the dates are`() throws {
        var record = try record()
        for (started, ended) in [
            (0, .max), (.max, 0), (.max, .max), (.min, .max), (.max, .min), (0, 1500),
        ] as [(Int64, Int64)] {
            record.startedAt = Timestamp(millisecondsSince1970: started)
            record.endedAt = Timestamp(millisecondsSince1970: ended)
            _ = record.duration?.milliseconds
            #expect(RunRecord(record.bytes) != nil)
        }
        #expect(record.duration == .milliseconds(1500))
    }

    @Test func `wishes beyond measure are read as none`() throws {
        for date in ["9223372036854775807-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "inf", "2026-01-01T1e300:00:00Z"] {
            let text = "backfill.from=\(date)\nbackfill.through=2026-01-01T00:00:00Z\nbackfill.by=ada\n"
            #expect(OperatorCommands(Array(text.utf8)).backfill == nil)
        }
        var wishes = OperatorCommands()
        wishes.decisions["2026-03-07"] = .rerun
        wishes.decisionOperators["2026-03-07"] = "ada: repaired"
        #expect(OperatorCommands(wishes.bytes) == wishes)
        wishes.backfill = .init(
            from: Timestamp(millisecondsSince1970: .min), through: Timestamp(millisecondsSince1970: .max),
            requestedBy: "ada")
        let read = try #require(OperatorCommands(wishes.bytes).backfill)
        #expect(read.from.secondsText == "0001-01-01T00:00:00Z")
        #expect(read.through.secondsText == "9999-12-31T23:59:59Z")
    }

    @Test func `clocks beyond measure tell a skew`() {
        let sent = MonotonicInstant(nanoseconds: 1)
        for (wall, written) in [
            (.max, 0), (.min, 0), (0, .max), (0, .min), (.max, .min), (.min, .max),
        ] as [(Int64, Int64)] {
            let time = EnsembleTime(
                sent: sent, received: sent, wall: Timestamp(millisecondsSince1970: wall),
                written: Timestamp(millisecondsSince1970: written))
            #expect(time.skew.exceeds(.seconds(10)))
            _ = (time.skew.description, time.time(at: .distantPast))
            _ = (time.instant(of: Timestamp(millisecondsSince1970: .max)), time.instant(of: .now))
        }
    }

    @Test func `wishes are read as they were written`() throws {
        var wishes = OperatorCommands()
        #expect(OperatorCommands(wishes.bytes) == wishes)
        wishes.pause = .init(reason: "until\nnoon", requestedBy: "ada")
        wishes.runRequests = ["ada", "bob", "ada"]
        wishes.skipRequests = ["", "bob"]
        wishes.backfill = .init(
            from: Timestamp(millisecondsSince1970: 1500), through: Timestamp(seconds: 1_000_000_000), requestedBy: "bob"
        )
        wishes.decisions = ["2026-03-08": .resume, "2026-03-09": .skip]
        #expect(OperatorCommands(wishes.bytes) == wishes)
    }

    @Test func `instants are read as they were written`() throws {
        for milliseconds: Int64 in [
            0, 250, 1_772_953_200_000, 1_772_953_200_999, 951_782_400_000, -500, -86_400_000, 4_102_444_800_000,
        ] {
            let time = Timestamp(millisecondsSince1970: milliseconds)
            #expect(Timestamp(time.millisecondsText) == time)
            #expect(Timestamp(time.secondsText) == Timestamp(seconds: time.seconds))
        }
        #expect(Timestamp(seconds: 1_772_953_200).secondsText == "2026-03-08T07:00:00Z")
        #expect(Timestamp(millisecondsSince1970: 1_772_953_200_999).secondsText == "2026-03-08T07:00:00Z")
        #expect(Timestamp(millisecondsSince1970: -1).secondsText == "1969-12-31T23:59:59Z")
        #expect(Timestamp(millisecondsSince1970: 250).millisecondsText == "1970-01-01T00:00:00.250Z")
        // Years that other programs may not read are not stored.
        #expect(Timestamp(millisecondsSince1970: .max).millisecondsText == "9999-12-31T23:59:59.000Z")
        #expect(Timestamp(millisecondsSince1970: .min).millisecondsText == "0001-01-01T00:00:00.000Z")
    }

    @Test func `dates of Foundation and timestamps are converted into each other`() {
        #expect(Timestamp(Date(timeIntervalSince1970: 1_772_953_200.25)).millisecondsText == "2026-03-08T07:00:00.250Z")
        #expect(Timestamp(Date(timeIntervalSince1970: -0.0006)) == Timestamp(millisecondsSince1970: -1))
        #expect(Date(Timestamp(millisecondsSince1970: -1500)) == Date(timeIntervalSince1970: -1.5))
        for (seconds, nearest) in [(Double.infinity, Int64.max), (-.infinity, .min), (1e300, .max), (.nan, 0)] {
            let time = Timestamp(Date(timeIntervalSince1970: seconds))
            #expect(time.millisecondsSince1970 == nearest)
            #expect(Date(time).timeIntervalSince1970.isFinite)
        }
    }

    @Test func `the clock's reading is never ahead, and tells the skew within half a round trip`() throws {
        let sent = MonotonicInstant(nanoseconds: 1_000_000_000)
        let time = EnsembleTime(
            sent: sent, received: sent + .milliseconds(200), wall: Timestamp(millisecondsSince1970: 1_000_100),
            written: Timestamp(seconds: 990))
        #expect(time.time(at: sent + .milliseconds(1200)) == Timestamp(seconds: 991))
        #expect(time.skew.ahead == .seconds(10))
        #expect(time.skew.error == .milliseconds(101))
        #expect(time.skew.exceeds(.seconds(9)))
        #expect(!time.skew.exceeds(.milliseconds(9900)))
        #expect(time.instant(of: Timestamp(seconds: 992)) == sent + .milliseconds(2200))
        let behind = EnsembleTime(
            sent: sent, received: sent, wall: Timestamp(seconds: 900), written: Timestamp(seconds: 990))
        #expect(behind.skew.ahead == .seconds(-90))
        #expect(behind.skew.exceeds(.seconds(60)))
    }

    @Test func `the oldest records are too many, and never what is open or the last of the schedule`() throws {
        var records: [String: Scheduler.Stored] = [:]
        for day in 1...9 {
            let period = Schedule.Period(
                id: "2026-05-0\(day)", start: Timestamp(seconds: day * 86_400), end: nil, note: nil)
            var record = RunRecord(
                period, kind: day == 3 ? .scheduled : .backfill, state: day == 1 ? .awaitingOperator : .completed,
                participantID: "n1", term: FencingToken(rawValue: 1))
            record.endedAt = period.start
            records[period.id] = Scheduler.Stored(record: record, version: 0)
        }
        #expect(records.surplus(keep: 20).isEmpty)
        #expect(records.surplus(keep: 6) == ["2026-05-02", "2026-05-04"])
        #expect(records.surplus(keep: 1).count == 7)
    }
}
