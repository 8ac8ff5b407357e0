import Testing

@testable import ZooKeeper

/// Random sequences against the rule written down again, slowly, over the whole history.
@Suite
struct SessionValidityPropertyTests {
    private enum Event {
        case connected(since: MonotonicInstant, timeout: Duration)
        case disconnected
        case answered(sent: MonotonicInstant, isProof: Bool)
    }

    /// Everything that happened to one session.
    private struct History {
        var events: [Event] = []
        var fraction: Double

        /// The latest deadline that any proof gave, cut by each connection with a shorter timeout after it.
        func validUntil() -> MonotonicInstant {
            var deadline = MonotonicInstant.distantPast
            for index in events.indices {
                switch events[index] {
                case .answered(let sent, true):
                    if let proved = self.deadline(provedAt: index, sent: sent) { deadline = max(deadline, proved) }
                case .connected(let since, let timeout):
                    if let before = shortestTimeout(before: index), timeout < before {
                        deadline = min(deadline, since + timeout * fraction)
                    }
                case .answered, .disconnected: break
                }
            }
            return deadline
        }

        private func shortestTimeout(before index: Int) -> Duration? {
            events[..<index].compactMap { event in
                if case .connected(_, let timeout) = event { timeout } else { nil }
            }.min()
        }

        private func deadline(provedAt index: Int, sent: MonotonicInstant) -> MonotonicInstant? {
            guard let timeout = shortestTimeout(before: index) else { return nil }
            var bases: [MonotonicInstant] = []
            for event in events[..<index].reversed() {
                switch event {
                case .answered(let activity, _): if activity + timeout / 4 <= sent { bases.append(activity) }
                case .disconnected: return bases.max().map { $0 + timeout * fraction }
                case .connected(let since, _):
                    if since < sent { bases.append(since) }
                    return bases.max().map { $0 + timeout * fraction }
                }
            }
            return nil
        }
    }

    private struct Run {
        var generator: SeededGenerator
        var history: History
        var validity: SessionValidity
        var now = MonotonicInstant(nanoseconds: 0)
        var lastSent = MonotonicInstant.distantPast
        var isConnected = false
        let timeout: Duration
        let changesTimeout: Bool

        init(seed: UInt64) {
            generator = SeededGenerator(seed: seed)
            let margin = Double.random(in: 0..<0.9, using: &generator)
            timeout = .milliseconds(Int64.random(in: 100...40_000, using: &generator))
            changesTimeout = Bool.random(using: &generator)
            history = History(fraction: 1 - margin)
            validity = SessionValidity(margin: margin)
        }

        /// Mostly small steps, now and then a long silence.
        private mutating func advance() {
            let scales = [0.02, 0.1, 0.3, 0.3, 3]
            let scale = scales[Int.random(in: 0..<5, using: &generator)]
            now = now + timeout * Double.random(in: 0...scale, using: &generator)
        }

        mutating func step() {
            let before = now
            advance()
            guard isConnected else { return connect(since: before) }
            guard Int.random(in: 0..<20, using: &generator) > 0 else {
                isConnected = false
                validity.disconnected()
                return history.events.append(.disconnected)
            }
            let earliest = max(lastSent, before)
            let sent = earliest + (now - earliest) * Double.random(in: 0...1, using: &generator)
            let isProof = Int.random(in: 0..<3, using: &generator) == 0
            lastSent = sent
            validity.answered(sentAt: sent, isProof: isProof)
            history.events.append(.answered(sent: sent, isProof: isProof))
        }

        private mutating func connect(since lowerBound: MonotonicInstant) {
            isConnected = true
            let factor = changesTimeout ? Double.random(in: 0.5...2, using: &generator) : 1
            validity.connected(since: lowerBound, timeout: timeout * factor)
            history.events.append(.connected(since: lowerBound, timeout: timeout * factor))
        }
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `the deadline is never later than the rule says, and earlier by a grain at most`(seed: UInt64) throws {
        var run = Run(seed: seed)
        for _ in 0..<80 {
            run.step()
            let exact = run.history.validUntil()
            try #require(run.validity.validUntil <= exact)
            // Forgotten is only what would have given a deadline that has passed.
            guard exact > run.now else { continue }
            try #require(exact - run.validity.validUntil <= run.timeout * 2 / 16)
        }
    }
}
