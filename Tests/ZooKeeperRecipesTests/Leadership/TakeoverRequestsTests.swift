import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

/// When a preferred participant asks for the leader's place.
@Suite struct TakeoverRequestsTests {
    private static let begin = MonotonicInstant(nanoseconds: 0)
    private var requests = TakeoverRequests(
        priority: 5, backoff: Backoff(Backoff.Policy(initial: .seconds(10), limit: .seconds(60)), seed: 1))

    private func leader(_ candidate: String, priority: Int = 0) -> ElectionEpoch {
        ElectionEpoch(leader: candidate, candidate: candidate, priority: priority, previous: nil)
    }

    /// The pauses between the requests to a leader that goes on, for so many requests.
    private mutating func pauses(_ count: Int, to leader: ElectionEpoch, from start: MonotonicInstant) -> [Duration] {
        var (now, pauses) = (start, [Duration]())
        for _ in 0..<count {
            let isDue = requests.isDue(to: leader, from: "own", at: now)
            #expect(isDue)
            guard let next = requests.nextLook else { break }
            // Events in between change nothing.
            let early = requests.isDue(to: leader, from: "own", at: now + (next - now) / 2)
            #expect(!early && requests.nextLook == next)
            pauses.append(next - now)
            now = next
        }
        return pauses
    }

    @Test mutating func `a leader that goes on is asked again, after pauses that grow to a limit`() {
        let pauses = pauses(8, to: leader("first"), from: Self.begin)
        #expect(pauses.count == 8)
        for (pause, most) in zip(pauses, [10, 20, 40, 60, 60, 60, 60, 60]) {
            #expect((Duration.seconds(most) / 2 ... .seconds(most)).contains(pause))
        }
    }

    @Test mutating func `each leader that follows is asked at once, and the pauses begin anew`() {
        _ = pauses(5, to: leader("first"), from: Self.begin)
        let pauses = pauses(2, to: leader("second"), from: Self.begin + .seconds(1))
        #expect(pauses.count == 2 && pauses[0] <= .seconds(10))
    }

    @Test mutating func `an own candidate that is new asks at once`() {
        let isDue = requests.isDue(to: leader("first"), from: "own", at: Self.begin)
        let isDueAgain = requests.isDue(to: leader("first"), from: "new", at: Self.begin + .seconds(1))
        #expect(isDue && isDueAgain)
    }

    @Test mutating func `nobody of the same or a higher priority is asked, nor when nobody leads`() {
        for epoch in [leader("equal", priority: 5), leader("higher", priority: 6), nil] {
            let isDue = requests.isDue(to: epoch, from: "own", at: Self.begin)
            #expect(!isDue && requests.nextLook == nil)
        }
    }

    @Test mutating func `without a candidate of its own it looks again soon`() {
        let isDue = requests.isDue(to: leader("first"), from: nil, at: Self.begin)
        #expect(!isDue && requests.nextLook == Self.begin + .seconds(1))
        let isDueThen = requests.isDue(to: leader("first"), from: "own", at: Self.begin + .seconds(1))
        #expect(isDueThen)
    }
}
