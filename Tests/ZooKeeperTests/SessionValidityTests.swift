import Testing

@testable import ZooKeeper

/// Ten seconds of timeout and a margin of five percent, unless a test says otherwise; instants are in milliseconds.
@Suite
struct SessionValidityTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 0) + .milliseconds(milliseconds)
    }

    private func connected(since lowerBound: Int64 = 0) -> SessionValidity {
        var validity = SessionValidity(margin: 0.05)
        validity.connected(since: at(lowerBound), timeout: .seconds(10))
        return validity
    }

    // MARK: Proofs

    @Test func `rule 17: a session without a proof is never valid`() {
        var validity = connected()
        for step in 1...1000 as ClosedRange<Int64> {
            validity.answered(sentAt: at(step * 100), isProof: false)
            #expect(validity.validUntil == .distantPast)
            #expect(!validity.isProved)
        }
    }

    @Test func `rule 17: reads prove nothing after a proof either`() {
        var validity = connected()
        validity.answered(sentAt: at(10), isProof: true)
        for step in 1...1000 as ClosedRange<Int64> {
            validity.answered(sentAt: at(10 + step * 100), isProof: false)
            #expect(validity.validUntil == at(9500))
        }
    }

    @Test func `a proof makes the establishment count, by its lower bound`() {
        var validity = connected(since: 1000)
        validity.answered(sentAt: at(1200), isProof: true)
        #expect(validity.validUntil == at(1000 + 9500))
        #expect(validity.isProved)
    }

    @Test(arguments: [999, 1000] as [Int64])
    func `a proof not sent after the establishment adds nothing`(sent: Int64) {
        var validity = connected(since: 1000)
        validity.answered(sentAt: at(sent), isProof: true)
        #expect(validity.validUntil == .distantPast)
    }

    @Test(
        arguments: [
            (2000, 0), (3000, 0), (4499, 0), (4500, 2000), (5000, 2000), (7000, 2000), (9000, 2000), (40_000, 2000),
        ] as [(Int64, Int64)])
    func `activity counts when it is a quarter of the timeout older than the proof`(proof: Int64, base: Int64) {
        var validity = connected()
        validity.answered(sentAt: at(2000), isProof: false)
        validity.answered(sentAt: at(proof), isProof: true)
        #expect(validity.validUntil == at(base + 9500))
    }

    @Test func `a proof is the activity of a later proof`() {
        var validity = connected()
        validity.answered(sentAt: at(100), isProof: true)
        validity.answered(sentAt: at(3100), isProof: true)
        #expect(validity.validUntil == at(100 + 9500))
        validity.answered(sentAt: at(6100), isProof: true)
        #expect(validity.validUntil == at(3100 + 9500))
    }

    @Test func `an answer that comes late counts by when its request was sent`() {
        var validity = connected()
        validity.answered(sentAt: at(3000), isProof: false)
        // Answered after a minute of silence, as after SIGCONT: the deadline has passed already.
        validity.answered(sentAt: at(6000), isProof: true)
        #expect(validity.validUntil == at(3000 + 9500))
        #expect(validity.validUntil < at(60_000))
    }

    @Test func `with no margin the whole timeout is sure`() {
        var validity = SessionValidity(margin: 0)
        validity.connected(since: at(0), timeout: .seconds(10))
        validity.answered(sentAt: at(1), isProof: true)
        #expect(validity.validUntil == at(10_000))
    }

    // MARK: Connections

    @Test func `a lost connection keeps the deadline, and the next one adds nothing before its first proof`() {
        var validity = connected()
        validity.answered(sentAt: at(3000), isProof: false)
        validity.answered(sentAt: at(6000), isProof: true)
        validity.disconnected()
        #expect(validity.validUntil == at(12_500))
        #expect(!validity.isProved)
        validity.connected(since: at(7000), timeout: .seconds(10))
        for step in 0...10 as ClosedRange<Int64> { validity.answered(sentAt: at(7000 + step * 400), isProof: false) }
        #expect(validity.validUntil == at(12_500))
        #expect(!validity.isProved)
        validity.answered(sentAt: at(11_400), isProof: true)
        #expect(validity.isProved)
        #expect(validity.validUntil == at(8600 + 9500))
    }

    @Test func `activity on an earlier connection does not count on the next`() {
        var validity = connected()
        validity.answered(sentAt: at(5000), isProof: false)
        validity.disconnected()
        validity.connected(since: at(4000), timeout: .seconds(10))
        validity.answered(sentAt: at(8000), isProof: true)
        #expect(validity.validUntil == at(4000 + 9500))
    }

    @Test func `after a lost connection nothing counts before the next stands`() {
        var validity = connected()
        validity.disconnected()
        validity.answered(sentAt: at(10), isProof: true)
        #expect(validity.validUntil == .distantPast)
    }

    @Test func `the deadline never moves back`() {
        var validity = connected()
        validity.answered(sentAt: at(4000), isProof: false)
        validity.answered(sentAt: at(7000), isProof: true)
        #expect(validity.validUntil == at(13_500))
        validity.disconnected()
        validity.connected(since: at(1000), timeout: .seconds(10))
        validity.answered(sentAt: at(8000), isProof: true)
        #expect(validity.validUntil == at(13_500))
    }

    @Test func `a longer timeout on another server does not count`() {
        var validity = connected()
        validity.disconnected()
        validity.connected(since: at(1000), timeout: .seconds(40))
        validity.answered(sentAt: at(2000), isProof: true)
        #expect(validity.timeout == .seconds(10))
        #expect(validity.validUntil == at(1000 + 9500))
    }

    @Test func `a shorter timeout on another server takes back what the longer one had made sure`() {
        var validity = connected()
        validity.answered(sentAt: at(100), isProof: true)
        validity.disconnected()
        validity.connected(since: at(200), timeout: .seconds(4))
        #expect(validity.timeout == .seconds(4))
        #expect(validity.validUntil == at(200 + 3800))
    }

    // MARK: Heartbeats

    @Test(arguments: [0, 0.05, 0.1, 0.2, 0.3, 0.35, 0.36, 0.4, 0.5, 0.6], [4, 10, 40] as [Int64])
    func `an idle session with heartbeats never runs out`(margin: Double, seconds: Int64) throws {
        let timeout = Duration.seconds(seconds)
        for roundTrip in [Duration.zero, timeout / 1000, timeout / 100] {
            var validity = SessionValidity(margin: margin)
            validity.connected(since: at(0), timeout: timeout)
            var sent = at(1)
            validity.answered(sentAt: sent, isProof: true)
            for _ in 0..<1000 {
                let next = validity.nextHeartbeat(after: sent)
                #expect(next > sent)
                #expect(next - sent <= timeout / 3)
                sent = next
                try #require(sent + roundTrip < validity.validUntil)
                validity.answered(sentAt: sent, isProof: true)
            }
        }
    }

    @Test func `a session that reconnected after a while is sure again with its second heartbeat`() {
        var validity = connected(since: -6000)
        validity.answered(sentAt: at(0), isProof: true)
        let second = validity.nextHeartbeat(after: at(0))
        #expect(second < validity.validUntil)
        validity.answered(sentAt: second, isProof: true)
        #expect(validity.validUntil == at(9500))
    }

    @Test func `a busy session that only reads is sure as long as heartbeats prove it`() throws {
        var validity = connected()
        var now = at(1)
        validity.answered(sentAt: now, isProof: true)
        var proof = now
        for _ in 0..<20_000 {
            now = now + .milliseconds(7)
            try #require(now < validity.validUntil)
            let isProof = now >= validity.nextHeartbeat(after: proof)
            if isProof { proof = now }
            validity.answered(sentAt: now, isProof: isProof)
        }
    }
}
