internal import Synchronization

/// The random numbers that are handed in, as the clock is: the system's, or the same ones in each run.
///
/// What decides by chance draws a seed here once, when it is made, and decides by that alone from then on.
package final class Randomness: RandomNumberGenerator, Sendable {
    private let seeded: Mutex<SeededGenerator?>

    /// The system's.
    package init() {
        seeded = Mutex(nil)
    }

    /// The same numbers for the same seed, as long as they are drawn in the same order.
    package init(seed: UInt64) {
        seeded = Mutex(SeededGenerator(seed: seed))
    }

    package func next() -> UInt64 {
        if let number = seeded.withLock({ $0?.next() }) { return number }
        var system = SystemRandomNumberGenerator()
        return system.next()
    }
}

/// The same numbers for the same seed (SplitMix64); for jitter and shuffling, not for secrets.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
