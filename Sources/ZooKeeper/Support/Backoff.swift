/// Pauses that double from attempt to attempt up to a limit, each shortened at random by up to half.
package struct Backoff: Sendable {
    private let policy: Policy
    private var next: Duration
    private var generator: SeededGenerator

    /// Creates a backoff.
    ///
    /// - Parameter seed: The seed for the jitter: the same seed gives the same pauses.
    package init(_ policy: Policy, seed: UInt64) {
        self.policy = policy
        next = policy.initial
        generator = SeededGenerator(seed: seed)
    }

    /// Returns the next pause.
    package mutating func pause() -> Duration {
        defer { next = min(next * 2, policy.limit) }
        return next * Double.random(in: 0.5...1, using: &generator)
    }

    /// Restarts with the initial pause.
    package mutating func reset() {
        next = policy.initial
    }
}

extension Backoff {
    /// The initial pause and the longest one.
    ///
    /// Pauses that a user can configure are in their configurations, such as ``RetryPolicy`` and that of elections.
    package struct Policy: Sendable {
        package let initial: Duration
        package let limit: Duration

        package init(initial: Duration, limit: Duration) {
            self.initial = min(initial, limit)
            self.limit = limit
        }

        /// For writes that failed because another client was faster.
        package static let conflict = Policy(initial: .milliseconds(2), limit: .milliseconds(200))
        /// For requests that failed because of a lost connection.
        package static let quick = Policy(initial: .milliseconds(10), limit: .seconds(1))
        /// For znodes that other clients delete or overwrite repeatedly.
        package static let repair = Policy(initial: .milliseconds(20), limit: .seconds(5))
        /// For requests that a server refused.
        package static let slow = Policy(initial: .milliseconds(50), limit: .seconds(5))

        /// For connections: a pause must not cost the session, because the ensemble may recover at its start.
        static func reconnect(sessionTimeout: Duration) -> Policy {
            Policy(initial: .milliseconds(100), limit: min(.seconds(10), sessionTimeout / 3))
        }

        /// For repeated requests to a leader to hand over its leadership.
        package static func takeover(delay: Duration) -> Policy {
            let first = max(.seconds(5), delay)
            return Policy(initial: first, limit: max(first, .seconds(300)))
        }
    }
}

extension ZooKeeperClient {
    package func makeBackoff(_ policy: Backoff.Policy) -> Backoff { Backoff(policy, seed: randomness.next()) }
}
