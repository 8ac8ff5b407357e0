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

    /// A heartbeat whose two requests are answered at once.
    private func beat(_ validity: inout SessionValidity, _ instant: Int64) {
        validity.answered(sentAt: at(instant), at: at(instant), as: .echo)
        validity.answered(sentAt: at(instant), at: at(instant), as: .proof)
    }

    // MARK: Proofs

    @Test(arguments: [.activity, .echo] as [SessionValidity.Answer])
    func `rule 17: a session without a proof is never valid`(answer: SessionValidity.Answer) {
        var validity = connected()
        for step in 1...1000 as ClosedRange<Int64> {
            validity.answered(sentAt: at(step * 100), at: at(step * 100), as: answer)
            #expect(validity.validUntil == .distantPast)
            #expect(!validity.isProved)
        }
    }

    @Test(arguments: [.activity, .echo] as [SessionValidity.Answer])
    func `rule 17: reads and syncs prove nothing after a proof either`(answer: SessionValidity.Answer) {
        var validity = connected()
        validity.answered(sentAt: at(10), at: at(11), as: .proof)
        for step in 1...1000 as ClosedRange<Int64> {
            validity.answered(sentAt: at(10 + step * 100), at: at(11 + step * 100), as: answer)
            #expect(validity.validUntil == at(9500))
        }
    }

    @Test func `a proof makes the establishment count, by its lower bound`() {
        var validity = connected(since: 1000)
        validity.answered(sentAt: at(1200), at: at(1201), as: .proof)
        #expect(validity.validUntil == at(1000 + 9500))
        #expect(validity.isProved)
    }

    @Test(arguments: [999, 1000] as [Int64])
    func `a proof not sent after the establishment adds nothing`(sent: Int64) {
        var validity = connected(since: 1000)
        validity.answered(sentAt: at(sent), at: at(sent + 1), as: .proof)
        #expect(validity.validUntil == .distantPast)
    }

    @Test func `activity that its server had no ping to tell of does not count`() {
        // Ticks of five seconds, half the timeout. What the leader sends, pings and commits, stays on the way from 100 on,
        // while what the follower sends goes through: at 6000 the leader handles a write and knows of nothing newer than
        // the establishment, and at 10 000 it lets the session go. The write's answer, of another write's round as well,
        // comes with the pings, too late to change that.
        var validity = connected()
        validity.answered(sentAt: at(2000), at: at(2001), as: .activity)
        validity.answered(sentAt: at(5999), at: at(9400), as: .proof)
        validity.answered(sentAt: at(6000), at: at(9400), as: .proof)
        #expect(validity.validUntil == at(9500))
    }

    @Test(
        arguments: [
            (2000, 0), (4699, 0), (4700, 0), (4709, 0), (4710, 2000), (5000, 2000), (9000, 2000), (11_900, 2000),
        ] as [(Int64, Int64)])
    func `activity counts when an echo was sent a gap between pings after its answer`(echo: Int64, base: Int64) {
        var validity = connected()
        validity.answered(sentAt: at(2000), at: at(2010), as: .activity)
        validity.answered(sentAt: at(echo), at: at(echo + 20), as: .echo)
        validity.answered(sentAt: at(echo + 20), at: at(echo + 40), as: .proof)
        #expect(validity.validUntil == at(base + 9500))
    }

    @Test(arguments: [(5019, 0), (5020, 2000), (5021, 2000)] as [(Int64, Int64)])
    func `an echo counts when it was answered before the proof was sent`(proof: Int64, base: Int64) {
        var validity = connected()
        validity.answered(sentAt: at(2000), at: at(2010), as: .activity)
        validity.answered(sentAt: at(5000), at: at(5020), as: .echo)
        validity.answered(sentAt: at(proof), at: at(5030), as: .proof)
        #expect(validity.validUntil == at(base + 9500))
    }

    @Test func `a read is no echo`() {
        var validity = connected()
        for step in 1...50 as ClosedRange<Int64> {
            validity.answered(sentAt: at(step * 100), at: at(step * 100 + 1), as: .activity)
        }
        validity.answered(sentAt: at(6000), at: at(6001), as: .proof)
        #expect(validity.validUntil == at(9500))
    }

    @Test func `a heartbeat makes the one before it count`() {
        var validity = connected()
        beat(&validity, 100)
        #expect(validity.validUntil == at(9500))
        beat(&validity, 3100)
        #expect(validity.validUntil == at(100 + 9500))
        beat(&validity, 6100)
        #expect(validity.validUntil == at(3100 + 9500))
    }

    @Test func `a write is the echo of a later write`() {
        var validity = connected()
        for sent in [100, 3100, 6100] as [Int64] { validity.answered(sentAt: at(sent), at: at(sent + 5), as: .proof) }
        #expect(validity.validUntil == at(100 + 9500))
    }

    @Test func `an answer that comes late counts by when its request was sent`() {
        var validity = connected()
        beat(&validity, 3000)
        beat(&validity, 6000)
        // Answered after a minute of silence, as after SIGCONT: the deadline has passed already.
        validity.answered(sentAt: at(9000), at: at(70_000), as: .echo)
        validity.answered(sentAt: at(9000), at: at(70_000), as: .proof)
        #expect(validity.validUntil == at(3000 + 9500))
    }

    @Test func `with no margin the whole timeout is sure`() {
        var validity = SessionValidity(margin: 0)
        validity.connected(since: at(0), timeout: .seconds(10))
        validity.answered(sentAt: at(1), at: at(2), as: .proof)
        #expect(validity.validUntil == at(10_000))
    }

    // MARK: Connections

    @Test func `a lost connection keeps the deadline, and the next one adds nothing before its first proof`() {
        var validity = connected()
        beat(&validity, 3000)
        beat(&validity, 6000)
        validity.disconnected()
        #expect(validity.validUntil == at(12_500))
        #expect(!validity.isProved)
        validity.connected(since: at(7000), timeout: .seconds(10))
        for step in 0...10 as ClosedRange<Int64> {
            validity.answered(sentAt: at(7000 + step * 400), at: at(7000 + step * 400), as: .echo)
        }
        #expect(validity.validUntil == at(12_500))
        #expect(!validity.isProved)
        validity.answered(sentAt: at(11_400), at: at(11_400), as: .proof)
        #expect(validity.isProved)
        // Of the activities up to 8300 the newest that is remembered.
        #expect(validity.validUntil >= at(7900 + 9500))
        #expect(validity.validUntil <= at(8300 + 9500))
    }

    @Test func `activity on an earlier connection does not count on the next`() {
        var validity = connected()
        validity.answered(sentAt: at(5000), at: at(5001), as: .activity)
        validity.disconnected()
        validity.connected(since: at(4000), timeout: .seconds(10))
        beat(&validity, 8000)
        #expect(validity.validUntil == at(4000 + 9500))
    }

    @Test func `an echo on an earlier connection does not count on the next`() {
        var validity = connected()
        validity.answered(sentAt: at(5000), at: at(5001), as: .activity)
        validity.answered(sentAt: at(8000), at: at(8001), as: .echo)
        validity.disconnected()
        validity.connected(since: at(1000), timeout: .seconds(10))
        validity.answered(sentAt: at(5000), at: at(5001), as: .activity)
        validity.answered(sentAt: at(8002), at: at(8003), as: .proof)
        #expect(validity.validUntil == at(1000 + 9500))
    }

    @Test func `after a lost connection nothing counts before the next stands`() {
        var validity = connected()
        validity.disconnected()
        validity.answered(sentAt: at(10), at: at(11), as: .proof)
        #expect(validity.validUntil == .distantPast)
    }

    @Test func `the deadline never moves back`() {
        var validity = connected()
        beat(&validity, 4000)
        beat(&validity, 7000)
        #expect(validity.validUntil == at(13_500))
        validity.disconnected()
        validity.connected(since: at(1000), timeout: .seconds(10))
        beat(&validity, 8000)
        #expect(validity.validUntil == at(13_500))
    }

    @Test func `a longer timeout on another server does not count`() {
        var validity = connected()
        validity.disconnected()
        validity.connected(since: at(1000), timeout: .seconds(40))
        beat(&validity, 2000)
        #expect(validity.timeout == .seconds(10))
        #expect(validity.validUntil == at(1000 + 9500))
    }

    @Test func `a shorter timeout on another server takes back what the longer one had made sure`() {
        var validity = connected()
        beat(&validity, 100)
        validity.disconnected()
        validity.connected(since: at(200), timeout: .seconds(4))
        #expect(validity.timeout == .seconds(4))
        #expect(validity.validUntil == at(200 + 3800))
    }
}
