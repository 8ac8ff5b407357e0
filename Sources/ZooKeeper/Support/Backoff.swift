/// Pauses that double from try to try up to a cap, each shortened by up to half at random.
package struct Backoff: Sendable {
    private let initial: Duration
    private let cap: Duration
    private var next: Duration
    private var generator: SeededGenerator

    /// - Parameter seed: What the pauses are shortened by: the same seed gives the same pauses.
    package init(initial: Duration, cap: Duration, seed: UInt64) {
        self.initial = min(initial, cap)
        self.cap = cap
        next = self.initial
        generator = SeededGenerator(seed: seed)
    }

    /// The next pause.
    package mutating func pause() -> Duration {
        defer { next = min(next * 2, cap) }
        return next * Double.random(in: 0.5...1, using: &generator)
    }

    /// Begins again from the initial pause.
    package mutating func reset() {
        next = initial
    }
}

extension Backoff {
    /// How fast a recipe repeats what has failed.
    package struct Policy: Sendable {
        fileprivate var initial: Duration
        fileprivate var cap: Duration

        /// From 10 ms to 1 s, for requests that a lost connection failed.
        package static let quick = Policy(initial: .milliseconds(10), cap: .seconds(1))
        /// From 50 ms to 5 s, for what a server refused.
        package static let slow = Policy(initial: .milliseconds(50), cap: .seconds(5))
    }

    /// - Parameter seed: Shortens the pauses: the same seed gives the same pauses.
    package init(_ policy: Policy, seed: UInt64) {
        self.init(initial: policy.initial, cap: policy.cap, seed: seed)
    }
}

extension ZooKeeperClient {
    package func makeBackoff(_ policy: Backoff.Policy) -> Backoff { Backoff(policy, seed: randomness.next()) }
}
