import Testing

@testable import ZooKeeper

@Suite
struct HeartbeatScheduleTests {
    private let start = MonotonicInstant(nanoseconds: 0)
    private var schedule = HeartbeatSchedule()
    private var validity = SessionValidity(margin: 0.05)

    init() {
        validity.connected(since: start, timeout: .seconds(10))
    }

    private mutating func next(after seconds: Double, isHolding: Bool) -> HeartbeatSchedule.Step {
        schedule.next(now: start + .seconds(seconds), isHolding: isHolding, validity: validity)
    }

    private mutating func end(after seconds: Double, isFailure: Bool = false) {
        schedule.ended(isFailure: isFailure, now: start + .seconds(seconds), timeout: .seconds(10))
    }

    /// A proof that was sent and answered at an instant.
    private mutating func prove(after seconds: Double) {
        let sent = start + .seconds(seconds)
        validity.answered(sentAt: sent, at: sent, as: .proof)
        schedule.sent(at: sent)
        schedule.proved(sentAt: sent)
    }

    @Test(arguments: [false, true]) mutating func `on a new connection a heartbeat is due at once`(isHolding: Bool) {
        #expect(next(after: 0, isHolding: isHolding) == (isHolding ? .proof : .read))
    }

    @Test mutating func `there is one heartbeat at a time, also on the next connection`() {
        #expect(next(after: 0, isHolding: true) == .proof)
        #expect(next(after: 9, isHolding: true) == .wait(until: nil))
        #expect(next(after: 9, isHolding: false) == .wait(until: nil))
        schedule.connected()
        #expect(next(after: 9, isHolding: true) == .proof)
        end(after: 9)
        #expect(next(after: 9, isHolding: true) == .proof)
    }

    @Test mutating func `a session that holds nothing is read from 3/10 of the timeout after any request`() {
        schedule.sent(at: start + .seconds(1))
        #expect(next(after: 1, isHolding: false) == .wait(until: start + .seconds(4)))
        schedule.sent(at: start + .seconds(2))
        #expect(next(after: 4, isHolding: false) == .wait(until: start + .seconds(5)))
        #expect(next(after: 5, isHolding: false) == .read)
    }

    @Test mutating func `a session that holds something is proved though it reads all the time`() {
        prove(after: 0.001)
        let due = validity.nextHeartbeat(after: start + .seconds(0.001))
        for step in 1...20 {
            schedule.sent(at: start + .seconds(Double(step) / 10))
            #expect(next(after: Double(step) / 10, isHolding: true) == .wait(until: due))
        }
        #expect(next(after: 3.1, isHolding: true) == .proof)
    }

    @Test mutating func `what is held anew after a time of reading is proved at once`() {
        schedule.sent(at: start + .seconds(1))
        #expect(next(after: 2, isHolding: false) == .wait(until: start + .seconds(4)))
        #expect(next(after: 2, isHolding: true) == .proof)
    }

    @Test mutating func `an older write that is answered late moves nothing back`() {
        prove(after: 1)
        let due = next(after: 1, isHolding: true)
        schedule.proved(sentAt: start + .seconds(0.5))
        #expect(next(after: 1, isHolding: true) == due)
    }

    @Test mutating func `a proof that fails is repeated after a sixteenth of the timeout, a read is not held up`() {
        #expect(next(after: 1, isHolding: true) == .proof)
        end(after: 1, isFailure: true)
        #expect(next(after: 1, isHolding: true) == .wait(until: start + .seconds(1.625)))
        #expect(next(after: 1.625, isHolding: true) == .proof)
        end(after: 1.7, isFailure: true)
        #expect(next(after: 1.7, isHolding: false) == .read)
    }

    @Test mutating func `a proof with one failed check is repeated at once for the others`() {
        prove(after: 0.5)
        #expect(next(after: 4, isHolding: true) == .proof)
        end(after: 4, isFailure: true)
        schedule.repeatAtOnce()
        #expect(next(after: 4, isHolding: true) == .proof)
    }

    @Test mutating func `the loop is woken only for what comes before its next look`() {
        #expect(schedule.sleep(untilFirstOf: nil, start + .seconds(3), start + .seconds(2)) == start + .seconds(2))
        schedule.connected()
        #expect(schedule.mustWake(for: start + .seconds(2)) == false)
        #expect(schedule.mustWake(for: start + .seconds(1)) == true)
        // It is about to be woken for that one.
        #expect(schedule.mustWake(for: start + .seconds(1.5)) == false)
        #expect(schedule.sleep(untilFirstOf: nil, nil) == nil)
        #expect(schedule.mustWake(for: start + .seconds(9)) == true)
    }
}
