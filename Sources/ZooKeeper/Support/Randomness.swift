internal import Synchronization

/// The source of randomness that is passed in, like the clock: the system's, or the same numbers in each run.
///
/// Every component that needs random numbers takes one seed from here when it is created, and uses only that seed from
/// then on.
package final class Randomness: RandomNumberGenerator, Sendable {
    private let seeded: Mutex<SeededGenerator?>

    /// Creates a source that uses the system's generator.
    package init() {
        seeded = Mutex(nil)
    }

    /// Creates a source with the same numbers for the same seed, if they are drawn in the same order.
    package init(seed: UInt64) {
        seeded = Mutex(SeededGenerator(seed: seed))
    }

    package func next() -> UInt64 {
        if let number = seeded.withLock({ $0?.next() }) { return number }
        var system = SystemRandomNumberGenerator()
        return system.next()
    }
}

/// A generator of the same numbers for the same seed (SplitMix64); for jitter and shuffling, not for secrets.
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
