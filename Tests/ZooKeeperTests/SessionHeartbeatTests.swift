import Testing

@testable import ZooKeeper

/// When heartbeats are due, and that they keep the validity up.
@Suite
struct SessionHeartbeatTests {
    /// An idle client: heartbeats and nothing else, each of two requests one after the other.
    private struct IdleClient {
        var validity: SessionValidity
        let timeout: Duration
        let roundTrip: Duration
        var now: MonotonicInstant
        var lastProof: MonotonicInstant
        var heartbeats = 0
        /// How often the validity had run out when a heartbeat was answered.
        var lapses = 0

        /// Connected and proved, at 1 ms.
        init(margin: Double, timeout: Duration, roundTrip: Duration) {
            self.timeout = timeout
            self.roundTrip = roundTrip
            validity = SessionValidity(margin: margin)
            validity.connected(since: MonotonicInstant(nanoseconds: 0), timeout: timeout)
            now = MonotonicInstant(nanoseconds: 1_000_000)
            lastProof = now
            request(.echo)
            prove()
            lapses = 0
        }

        private mutating func request(_ answer: SessionValidity.Answer) {
            let sent = now
            now = now + roundTrip
            if answer == .proof, now >= validity.validUntil { lapses += 1 }
            validity.answered(sentAt: sent, at: now, as: answer)
        }

        private mutating func prove() {
            lastProof = now
            request(.proof)
        }

        mutating func beat() {
            now = max(now, validity.nextHeartbeat(after: lastProof))
            request(.echo)
            prove()
            heartbeats += 1
        }
    }

    private static let timeouts = [4, 10, 40] as [Int64]

    @Test(arguments: [0, 0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4], timeouts)
    func `an idle client stays valid while round trips take a twentieth of the timeout`(
        margin: Double, seconds: Int64
    ) {
        let timeout = Duration.seconds(seconds)
        for divisor in [1_000_000, 1000, 100, 50, 30, 20] {
            var client = IdleClient(margin: margin, timeout: timeout, roundTrip: timeout / divisor)
            for _ in 0..<1000 { client.beat() }
            #expect(client.lapses == 0, "a round trip of 1/\(divisor)")
        }
    }

    @Test(arguments: [0.45, 0.5, 0.55, 0.6], timeouts)
    func `an idle client with a wide margin stays valid while its server is fast`(margin: Double, seconds: Int64) {
        let timeout = Duration.seconds(seconds)
        for divisor in [1_000_000, 1000, 100] {
            var client = IdleClient(margin: margin, timeout: timeout, roundTrip: timeout / divisor)
            for _ in 0..<1000 { client.beat() }
            #expect(client.lapses == 0, "a round trip of 1/\(divisor)")
        }
    }

    @Test(arguments: [1_000_000, 100, 50, 20])
    func `a heartbeat makes the one before it count, 3/10 of the timeout earlier`(divisor: Int) {
        var client = IdleClient(margin: 0.05, timeout: .seconds(10), roundTrip: .seconds(10) / divisor)
        let start = client.now
        var before = client.now
        for beat in 0..<100 {
            let (last, ended) = (client.lastProof, client.now)
            client.beat()
            // Counted from its `sync`, one round trip before the proof.
            if beat > 1 { #expect(client.validity.validUntil >= last - client.roundTrip + .seconds(9.5)) }
            #expect(ended >= before)
            before = ended
        }
        let distance = (client.now - start) / 100
        #expect(distance >= .seconds(3))
        #expect(distance <= .seconds(3) + client.roundTrip * 3)
    }

    @Test(arguments: [12, 13, 15])
    func `with the usual margin round trips may take a twelfth of the timeout`(divisor: Int) {
        var client = IdleClient(margin: 0.05, timeout: .seconds(10), roundTrip: .seconds(10) / divisor)
        for _ in 0..<1000 { client.beat() }
        #expect(client.lapses == 0)
    }

    @Test func `a session that reconnected after a while is sure again with its second heartbeat`() {
        let start = MonotonicInstant(nanoseconds: 0)
        var validity = SessionValidity(margin: 0.05)
        validity.connected(since: start - .seconds(6), timeout: .seconds(10))
        for answer in [.echo, .proof] as [SessionValidity.Answer] {
            validity.answered(sentAt: start, at: start, as: answer)
        }
        let second = validity.nextHeartbeat(after: start)
        #expect(second == start + .milliseconds(2800))
        #expect(second < validity.validUntil)
        for answer in [.echo, .proof] as [SessionValidity.Answer] {
            validity.answered(sentAt: second, at: second, as: answer)
        }
        #expect(validity.validUntil == start + .seconds(9.5))
    }

    @Test func `a session that has only read for long is sure with its first heartbeat, which is due at once`() {
        let start = MonotonicInstant(nanoseconds: 0)
        var validity = SessionValidity(margin: 0.05)
        validity.connected(since: start, timeout: .seconds(10))
        var now = start
        for _ in 0..<20 {
            now = now + .seconds(3)
            validity.answered(sentAt: now, at: now, as: .activity)
        }
        now = now + .seconds(1)
        validity.answered(sentAt: now, at: now, as: .proof)
        #expect(validity.validUntil < now)
        #expect(validity.nextHeartbeat(after: now) == now)
        validity.answered(sentAt: now, at: now, as: .echo)
        validity.answered(sentAt: now, at: now, as: .proof)
        #expect(validity.validUntil == now - .seconds(4) + .seconds(9.5))
        #expect(validity.nextHeartbeat(after: now) > now + .milliseconds(2799))
    }

    @Test func `a heartbeat that would not help is not sent at once`() {
        let start = MonotonicInstant(nanoseconds: 0)
        var validity = SessionValidity(margin: 0.05)
        validity.connected(since: start - .seconds(20), timeout: .seconds(10))
        validity.answered(sentAt: start, at: start, as: .proof)
        #expect(validity.validUntil < start)
        #expect(validity.nextHeartbeat(after: start) == start + .milliseconds(2800))
    }

    @Test func `a busy session that only reads is sure as long as heartbeats prove it`() throws {
        let start = MonotonicInstant(nanoseconds: 0)
        var validity = SessionValidity(margin: 0.05)
        validity.connected(since: start, timeout: .seconds(10))
        var now = start + .milliseconds(1)
        validity.answered(sentAt: now, at: now, as: .proof)
        var proof = now
        var heartbeats = 0
        for _ in 0..<20_000 {
            now = now + .milliseconds(7)
            try #require(now < validity.validUntil)
            validity.answered(sentAt: now, at: now, as: .activity)
            guard now >= validity.nextHeartbeat(after: proof) else { continue }
            proof = now
            heartbeats += 1
            validity.answered(sentAt: now, at: now, as: .echo)
            validity.answered(sentAt: now, at: now, as: .proof)
        }
        #expect(heartbeats <= 48)
    }

    @Test(arguments: [10, 100, 1000, 2000, 2900] as [Int64])
    func `writes far or close together keep the validity up with heartbeats between them`(distance: Int64) throws {
        let start = MonotonicInstant(nanoseconds: 0)
        var validity = SessionValidity(margin: 0.05)
        validity.connected(since: start, timeout: .seconds(10))
        var proof = start + .milliseconds(1)
        validity.answered(sentAt: proof, at: proof, as: .proof)
        for step in 1...1000 as ClosedRange<Int64> {
            let now = start + .milliseconds(1 + step * distance)
            let due = validity.nextHeartbeat(after: proof)
            if due < now {
                try #require(due < validity.validUntil)
                validity.answered(sentAt: due, at: due, as: .echo)
                validity.answered(sentAt: due, at: due, as: .proof)
                proof = due
            }
            try #require(now < validity.validUntil)
            validity.answered(sentAt: now, at: now, as: .proof)
            proof = now
        }
    }
}
