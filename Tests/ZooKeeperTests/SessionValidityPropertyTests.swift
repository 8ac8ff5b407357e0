import Testing

@testable import ZooKeeper

/// Random sequences against the rule written down again, slowly, over the whole history.
@Suite
struct SessionValidityPropertyTests {
    private enum Event {
        case connected(since: MonotonicInstant, timeout: Duration)
        case disconnected
        case answered(sent: MonotonicInstant, at: MonotonicInstant, as: SessionValidity.Answer)
    }

    /// Everything that happened to one session.
    private struct History {
        var events: [Event] = []
        var fraction: Double

        /// The latest deadline that any proof gave, cut by each connection with a shorter timeout after it.
        ///
        /// - Parameter lag: The part of the timeout by which echoes are taken as sent earlier than they were.
        func validUntil(lag: Double = 0) -> MonotonicInstant {
            var deadline = MonotonicInstant.distantPast
            for index in events.indices {
                switch events[index] {
                case .answered(let sent, _, .proof):
                    if let proved = self.deadline(provedAt: index, sent: sent, lag: lag) {
                        deadline = max(deadline, proved)
                    }
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

        private func deadline(provedAt index: Int, sent: MonotonicInstant, lag: Double) -> MonotonicInstant? {
            guard let timeout = shortestTimeout(before: index) else { return nil }
            let connection = events[..<index].reversed().prefix { if case .answered = $0 { true } else { false } }
            let echo = connection.compactMap { event -> MonotonicInstant? in
                guard case .answered(let echo, let answered, let kind) = event, kind >= .echo else { return nil }
                return answered <= sent ? echo : nil
            }.max()
            var bases = connection.compactMap { event -> MonotonicInstant? in
                guard case .answered(let activity, let answered, _) = event, let echo else { return nil }
                return answered + timeout * (0.27 + lag) <= echo ? activity : nil
            }
            guard case .connected(let since, _) = events[..<index].dropLast(connection.count).last else { return nil }
            if since < sent { bases.append(since) }
            return bases.max().map { $0 + timeout * fraction }
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
        /// Whether requests are sent before the earlier ones are answered.
        let isPipelined: Bool

        init(seed: UInt64) {
            generator = SeededGenerator(seed: seed)
            let margin = Double.random(in: 0..<0.9, using: &generator)
            timeout = .milliseconds(Int64.random(in: 100...40_000, using: &generator))
            changesTimeout = Bool.random(using: &generator)
            isPipelined = Bool.random(using: &generator)
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
            let earliest = isPipelined ? max(lastSent, now - timeout / 4) : before
            let sent = earliest + (now - earliest) * Double.random(in: 0...1, using: &generator)
            let kinds = [.activity, .activity, .echo, .proof] as [SessionValidity.Answer]
            let kind = kinds[Int.random(in: 0..<4, using: &generator)]
            lastSent = sent
            validity.answered(sentAt: sent, at: now, as: kind)
            history.events.append(.answered(sent: sent, at: now, as: kind))
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
            try #require(run.validity.validUntil <= run.history.validUntil())
            // Only of echoes that were under way together is one forgotten that still matters.
            let least = run.history.validUntil(lag: run.isPipelined ? 1 / 16 : 0)
            // Forgotten is only what would have given a deadline that has passed.
            guard least > run.now else { continue }
            try #require(least - run.validity.validUntil <= run.timeout * (run.changesTimeout ? 2 : 1) / 16)
        }
    }
}
