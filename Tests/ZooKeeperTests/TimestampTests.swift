import Testing

@testable import ZooKeeper

@Suite struct TimestampTests {
    private static let extremes = [Int64.min, .min + 1, .max - 1, .max].map { Timestamp(millisecondsSince1970: $0) }

    // MARK: Text

    @Test(arguments: [
        (Int64(0), "1970-01-01T00:00:00.000Z"), (1_772_953_200_250, "2026-03-08T07:00:00.250Z"),
        (1_772_953_200_007, "2026-03-08T07:00:00.007Z"), (-1, "1969-12-31T23:59:59.999Z"),
        // Leap days, also those of full centuries.
        (951_782_400_000, "2000-02-29T00:00:00.000Z"), (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        // The first and the last year with four digits, and those beyond.
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        (-62_162_121_600_000, "0000-02-29T00:00:00.000Z"), (-62_167_219_200_001, "-0001-12-31T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (253_402_300_800_000, "+10000-01-01T00:00:00.000Z"),
        (Int64.max, "+292278994-08-17T07:12:55.807Z"), (Int64.min, "-292275055-05-16T16:47:04.192Z"),
    ])
    func `a timestamp has one text, and is read from it`(milliseconds: Int64, text: String) {
        let time = Timestamp(millisecondsSince1970: milliseconds)
        #expect(time.description == text)
        #expect(Timestamp(text) == time)
    }

    @Test func `any timestamp is read from its text`() {
        var milliseconds = Int64.min
        for _ in 0..<4001 {
            let time = Timestamp(millisecondsSince1970: milliseconds)
            #expect(Timestamp(time.description) == time, "\(milliseconds)")
            milliseconds &+= 4_611_686_018_427_387
        }
    }

    @Test(arguments: [
        ("2026-03-08T07:00:00Z", Int64(1_772_953_200_000)), ("2026-03-08T08:00:00+01:00", 1_772_953_200_000),
        ("2026-03-08T03:00:00-0400", 1_772_953_200_000), ("2026-03-08T07:00:00.2Z", 1_772_953_200_200),
        ("2026-03-08T07:00:00.25+00:00", 1_772_953_200_250), ("2026-03-08T07:00:00.000999999Z", 1_772_953_200_000),
        ("2026-03-08T07:00:00.123456789Z", 1_772_953_200_123), ("1969-12-31T23:59:59.9999Z", -1),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139_000), ("+2026-03-08T07:00:00Z", 1_772_953_200_000),
    ])
    func `times with an offset, and with any decimals, are read`(text: String, milliseconds: Int64) {
        #expect(Timestamp(text)?.millisecondsSince1970 == milliseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-03-08", "2026-03-08T07:00Z", "2026-03-08T07:00:00", "2026-03-08 07:00:00Z",
        "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-32T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.0123456789Z", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00ZZ", " 2026-01-01T00:00:00Z", "12026-01-01T00:00:00Z", "+26-01-01T00:00:00Z",
        "+-2026-01-01T00:00:00Z", "2026-01-01T-1:00:00Z", "1772953200000", "inf", "nan",
        "\u{662}\u{660}\u{662}\u{666}-01-01T00:00:00Z",
        // Beyond what can be represented.
        "+292278994-08-17T07:12:55.808Z", "-292275055-05-16T16:47:04.191Z", "+292278994-08-17T07:12:55-00:01",
        "+999999999-12-31T23:59:59Z", "-999999999-01-01T00:00:00Z", "+1000000000-01-01T00:00:00Z",
        "+9223372036854775807-01-01T00:00:00Z", "-9223372036854775808-01-01T00:00:00Z", "+99999999999999999999-01-01",
    ])
    func `what is no time is refused`(text: String) {
        #expect(Timestamp(text) == nil)
    }

    // MARK: Arithmetic

    @Test func `durations are added and subtracted, rounded down to the millisecond`() {
        let time = Timestamp(millisecondsSince1970: 1000)
        #expect((time + .seconds(2)).millisecondsSince1970 == 3000)
        #expect((time - .seconds(2)).millisecondsSince1970 == -1000)
        #expect((time + .microseconds(1999)).millisecondsSince1970 == 1001)
        #expect((time - .microseconds(1)).millisecondsSince1970 == 999)
        #expect((time - .seconds(1) - .nanoseconds(1)).millisecondsSince1970 == -1)
        #expect((time + .nanoseconds(-1)).millisecondsSince1970 == 999)
        #expect(time - Timestamp(millisecondsSince1970: 3500) == .milliseconds(-2500))
        #expect(time < time + .milliseconds(1) && time > time - .milliseconds(1))
        var sum = time
        sum += .milliseconds(5)
        sum -= .milliseconds(7)
        #expect(sum.millisecondsSince1970 == 998)
    }

    @Test func `arithmetic beyond the range gives the nearest timestamp`() {
        let longest = Duration(secondsComponent: .max, attosecondsComponent: 0)
        let spans = [
            longest, .zero - longest, longest + longest, .zero - longest - longest, .milliseconds(Int64.max),
            .milliseconds(Int64.min), .milliseconds(1), .nanoseconds(-1), .zero,
        ]
        for time in Self.extremes + [Timestamp(millisecondsSince1970: 0)] {
            for span in spans {
                #expect(span < .zero ? time + span <= time : time + span >= time)
                #expect(span < .zero ? time - span >= time : time - span <= time)
            }
            #expect(time + longest == Self.extremes[3] && time - longest == Self.extremes[0])
        }
        // The sum is exact although the duration is longer than any timestamp.
        #expect(Self.extremes[0] + (Self.extremes[3] - Self.extremes[0]) == Self.extremes[3])
        #expect(Self.extremes[3] - (Self.extremes[3] - Self.extremes[0]) == Self.extremes[0])
        #expect(Self.extremes[3] - Self.extremes[0] == .milliseconds(Int64.max) - .milliseconds(Int64.min))
        #expect(Self.extremes.sorted() == Self.extremes)
    }

    @Test func `now is after this test was written`() throws {
        #expect(Timestamp.now > (try #require(Timestamp("2026-01-01T00:00:00Z"))))
        #expect(Timestamp.now <= Timestamp.now)
    }
}
