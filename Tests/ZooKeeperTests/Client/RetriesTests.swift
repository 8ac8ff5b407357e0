import Testing

@testable import ZooKeeper

@Suite
struct RetriesTests {
    private let start = MonotonicInstant(nanoseconds: 0)
    private var retries = Retries()

    @Test mutating func `all retries are due together, a tenth of a second after the first`() {
        retries.add({}, now: start)
        retries.add({}, now: start + .milliseconds(90))
        #expect(retries.due == start + .milliseconds(100))
        #expect(retries.takeDue(now: start + .milliseconds(99)).isEmpty)
        #expect(retries.takeDue(now: start + .milliseconds(100)).count == 2)
        #expect(retries.due == nil)
    }

    @Test mutating func `retries that were taken are not due any more`() {
        retries.add({}, now: start)
        #expect(retries.takeAll().count == 1)
        #expect(retries.due == nil && retries.takeDue(now: start + .seconds(1)).isEmpty)
        retries.add({}, now: start + .seconds(2))
        #expect(retries.due == start + .milliseconds(2100))
    }
}
