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
