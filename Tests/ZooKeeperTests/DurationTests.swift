import Testing

@testable import ZooKeeper

@Suite
struct DurationTests {
    @Test(
        arguments: [
            (Duration.seconds(2), 2000), (.milliseconds(1), 1), (.microseconds(999), 0), (.zero, 0),
            (.microseconds(1999), 1), (.milliseconds(-3), -3), (.microseconds(-1500), -1), (.seconds(Int64.max), .max),
            (.seconds(Int64.min), .min),
        ] as [(Duration, Int64)])
    func `milliseconds are rounded towards zero and never overflow`(duration: Duration, expected: Int64) {
        #expect(duration.milliseconds == expected)
    }

    @Test(
        arguments: [
            (Duration.seconds(2), 2_000_000_000), (.nanoseconds(1), 1), (.zero, 0), (.nanoseconds(-1), -1),
            (.nanoseconds(Int64.max), .max), (.nanoseconds(Int64.min), .min), (.seconds(Int64.max), .max),
            (.seconds(Int64.min), .min),
        ] as [(Duration, Int64)])
    func `nanoseconds never overflow`(duration: Duration, expected: Int64) {
        #expect(duration.nanoseconds == expected)
    }

    @Test func `instants at the ends of time take part in arithmetic`() {
        let now = MonotonicInstant(nanoseconds: 5_000_000_000)
        let first = MonotonicInstant(nanoseconds: .min)
        #expect(first - now == .nanoseconds(Int64.min))
        #expect(now - first == .nanoseconds(Int64.max))
        #expect(first - .seconds(1) == first)
        #expect(MonotonicInstant.distantPast - now < .seconds(-1_000_000_000))
        #expect(MonotonicInstant.distantPast < MonotonicInstant(nanoseconds: 0) - .seconds(1_000_000_000))
        #expect(now + .seconds(Int64.max) == MonotonicInstant(nanoseconds: .max))
        #expect(now - now == .zero)
        #expect((now + .milliseconds(3)) - now == .milliseconds(3))
    }

    @Test func `a session that was never proved has a next heartbeat`() {
        var validity = SessionValidity(margin: 0.05)
        let now = MonotonicInstant(nanoseconds: 5_000_000_000)
        validity.connected(since: now, timeout: .seconds(10))
        #expect(validity.nextHeartbeat(after: now) > now)
    }
}
