internal import ZooKeeper

/// What decides in a simulated world: every choice is drawn from one seed.
package struct Chance: Sendable {
    private var generator: SeededGenerator

    package init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    /// A number from 0 to below `count`.
    package mutating func below(_ count: Int) -> Int {
        precondition(count > 0, "there is nothing to choose from")
        return Int((generator.next() >> 33) % UInt64(count))
    }

    /// True in one of so many cases.
    package mutating func oneIn(_ count: Int) -> Bool {
        below(count) == 0
    }

    package mutating func pick<Element>(_ choices: [Element]) -> Element {
        choices[below(choices.count)]
    }

    package mutating func duration(_ range: ClosedRange<Duration>) -> Duration {
        let (low, high) = (range.lowerBound.nanoseconds, range.upperBound.nanoseconds)
        guard high > low else { return range.lowerBound }
        return .nanoseconds(low + Int64((generator.next() >> 1) % UInt64(high - low + 1)))
    }

    /// A number that nobody else draws.
    package mutating func seed() -> UInt64 {
        generator.next()
    }
}
