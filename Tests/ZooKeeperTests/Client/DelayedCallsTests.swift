import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct DelayedCallsTests {
    private let start = MonotonicInstant(nanoseconds: 0) + .seconds(10)
    private var calls = DelayedCalls()

    @Test mutating func `each call is due at its time, in order`() {
        #expect(calls.due == nil)
        calls.add({}, at: start + .milliseconds(200))
        calls.add({}, at: start + .milliseconds(100))
        calls.add({}, at: start + .milliseconds(200))
        #expect(calls.due == start + .milliseconds(100))
        #expect(calls.takeDue(now: start + .milliseconds(99)).isEmpty)
        #expect(calls.takeDue(now: start + .milliseconds(100)).count == 1)
        #expect(calls.due == start + .milliseconds(200))
        #expect(calls.takeDue(now: start + .seconds(1)).count == 2)
        #expect(calls.due == nil)
    }

    @Test mutating func `calls that were taken are not due any more`() {
        calls.add({}, at: start)
        #expect(calls.takeAll().count == 1)
        #expect(calls.due == nil && calls.takeDue(now: start + .seconds(1)).isEmpty)
    }
}
