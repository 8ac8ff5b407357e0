import Testing

@testable import ZooKeeper

@Suite struct ServerPacketLimitTests {
    private let start = MonotonicInstant(nanoseconds: 0)

    private func record(
        _ size: Int, _ establishment: Int, in limit: inout ServerPacketLimit, now: MonotonicInstant
    ) -> Bool {
        limit.recordLoss(ofSize: size, establishment: establishment, now: now)
    }

    private func learned(_ sizes: [Int] = [5000, 5000, 5000]) -> ServerPacketLimit {
        var limit = ServerPacketLimit()
        for (number, size) in sizes.enumerated() {
            _ = limit.recordLoss(ofSize: size, establishment: number, now: start)
        }
        return limit
    }

    @Test func `three connections in a row that are lost on a large request teach the limit`() {
        var limit = ServerPacketLimit()
        #expect(!record(5000, 1, in: &limit, now: start))
        // All that was lost with one connection is one loss.
        #expect(!record(2000, 1, in: &limit, now: start))
        #expect(!record(5000, 2, in: &limit, now: start))
        #expect(!limit.refuses(5000, now: start))
        #expect(record(4000, 3, in: &limit, now: start))
        #expect(!record(4000, 3, in: &limit, now: start))
        #expect(limit.refuses(5000, now: start) && limit.refuses(9000, now: start))
        #expect(!limit.refuses(4999, now: start))
    }

    @Test func `a little less than what is refused is refused after one more loss`() {
        var limit = learned()
        #expect(!record(4000, 7, in: &limit, now: start))
        #expect(limit.refuses(4000, now: start) && !limit.refuses(3999, now: start))
        #expect(!record(1500, 8, in: &limit, now: start))
        #expect(!limit.refuses(1500, now: start))
    }

    @Test func `small requests teach nothing`() {
        let limit = learned([100, 100, 100, 100, 1023])
        #expect(limit.refusedSize == nil)
    }

    @Test func `an answer shows that the network was at fault`() {
        var limit = learned([5000, 5000])
        limit.recordAnswer(toSize: 100)
        limit.recordAnswer(toSize: 5000)
        #expect(!record(5000, 7, in: &limit, now: start))
        var other = learned([5000, 5000])
        other.recordAnswer(toSize: 4999)
        #expect(record(5000, 7, in: &other, now: start))
    }

    @Test func `after a minute one more request is sent, and its loss or its answer decides`() {
        var limit = learned()
        let later = start + .seconds(60)
        #expect(limit.refuses(5000, now: start + .seconds(59)))
        #expect(!limit.refuses(5000, now: later))
        var raised = limit
        raised.recordAnswer(toSize: 5000)
        #expect(raised.refusedSize == nil)
        #expect(record(5000, 9, in: &limit, now: later))
        #expect(limit.refuses(5000, now: later))
    }
}
