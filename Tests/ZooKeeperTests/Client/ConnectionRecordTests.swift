import Testing

@testable import ZooKeeper

@Suite
struct ConnectionRecordTests {
    private let start = MonotonicInstant(nanoseconds: 0)
    private var record = ConnectionRecord()

    @Test mutating func `connection objects and their establishments are counted apart`() {
        #expect(record.open(now: start) == 1)
        record.established()
        record.established()
        #expect(record.open(now: start + .seconds(1)) == 2)
        #expect(record.number == 2 && record.establishments == 2)
    }

    @Test mutating func `attempts to connect do not show that the session is alive`() {
        _ = record.open(now: start)
        record.connected()
        _ = record.open(now: start + .seconds(5))
        #expect(record.establishedAfter == start + .seconds(5))
        #expect(record.aliveAt == start)
        record.connected()
        #expect(record.aliveAt == start + .seconds(5))
    }

    @Test mutating func `an answer counts from when its request was sent, and never backwards`() {
        _ = record.open(now: start)
        record.answered(sentAt: start + .seconds(3))
        record.answered(sentAt: start + .seconds(2))
        #expect(record.establishedAfter == start + .seconds(3))
        #expect(record.aliveAt == start + .seconds(3))
    }
}
