/// Pauses that double from try to try up to a cap, each shortened by up to half at random.
package struct Backoff: Sendable {
    private let initial: Duration
    private let cap: Duration
    private var next: Duration

    package init(initial: Duration, cap: Duration) {
        self.initial = min(initial, cap)
        self.cap = cap
        next = self.initial
    }

    /// The next pause.
    package mutating func pause(using generator: inout some RandomNumberGenerator) -> Duration {
        defer { next = min(next * 2, cap) }
        return next * Double.random(in: 0.5...1, using: &generator)
    }

    /// The next pause, with the system's randomness.
    package mutating func pause() -> Duration {
        var generator = SystemRandomNumberGenerator()
        return pause(using: &generator)
    }

    /// Begins again from the initial pause.
    package mutating func reset() {
        next = initial
    }
}
