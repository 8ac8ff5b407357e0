/// Pauses that double from try to try up to a limit, each shortened by up to half at random.
package struct Backoff: Sendable {
    private let policy: Policy
    private var next: Duration
    private var generator: SeededGenerator

    /// - Parameter seed: Shortens the pauses: the same seed gives the same pauses.
    package init(_ policy: Policy, seed: UInt64) {
        self.policy = policy
        next = policy.initial
        generator = SeededGenerator(seed: seed)
    }

    /// The next pause.
    package mutating func pause() -> Duration {
        defer { next = min(next * 2, policy.limit) }
        return next * Double.random(in: 0.5...1, using: &generator)
    }

    /// Begins again from the initial pause.
    package mutating func reset() {
        next = policy.initial
    }
}

extension Backoff {
    /// The first pause and the longest one.
    ///
    /// The pauses that a user configures, ``RetryPolicy`` and those of elections, have their figures there.
    package struct Policy: Sendable {
        package let initial: Duration
        package let limit: Duration

        package init(initial: Duration, limit: Duration) {
            self.initial = min(initial, limit)
            self.limit = limit
        }

        /// For writes that others were faster than.
        package static let conflict = Policy(initial: .milliseconds(2), limit: .milliseconds(200))
        /// For requests that a lost connection failed.
        package static let quick = Policy(initial: .milliseconds(10), limit: .seconds(1))
        /// For znodes that others delete or overwrite again and again.
        package static let repair = Policy(initial: .milliseconds(20), limit: .seconds(5))
        /// For what a server refused.
        package static let slow = Policy(initial: .milliseconds(50), limit: .seconds(5))

        /// For connections: a pause must not cost the session, because the ensemble may come back at its beginning.
        static func reconnect(sessionTimeout: Duration) -> Policy {
            Policy(initial: .milliseconds(100), limit: min(.seconds(10), sessionTimeout / 3))
        }

        /// For asking a leader for its place once more.
        package static func takeover(delay: Duration) -> Policy {
            let first = max(.seconds(5), delay)
            return Policy(initial: first, limit: max(first, .seconds(300)))
        }
    }
}

extension ZooKeeperClient {
    package func makeBackoff(_ policy: Backoff.Policy) -> Backoff { Backoff(policy, seed: randomness.next()) }
}
