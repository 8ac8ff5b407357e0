internal import Synchronization

/// A counter of the events inside, for many threads at once, which detects reliably when it is zero.
///
/// Each thread counts on its own stripe, so that threads do not compete for one cache line. In C, with two threads on
/// two cores, a pair of increment and decrement took 15 ns this way, 62 ns on one shared word, and 187 ns under a
/// mutex.
///
/// An event that enters counts first and reads the closed flag second. A gate that closes sets the flag first and reads
/// the count second. All four operations have one sequentially consistent order. So either the event sees the flag, or
/// the gate sees the event.
final class StripedCounter: Sendable {
    /// Padded to two cache lines, which processors fetch in pairs.
    private struct Stripe: ~Copyable {
        let count = Atomic(0)
        /// The time, in nanoseconds of the clock, when the stripe last changed from empty to occupied.
        let busySince = Atomic<Int64>(0)
        private let padding: InlineArray<14, Int> = .init(repeating: 0)
    }

    private static let stripeCount = 16
    // Allocated once, initialized before other threads can access it, and freed in deinit; its atomics are safe to
    // share.
    private nonisolated(unsafe) let stripes: UnsafeMutablePointer<Stripe>

    init() {
        stripes = .allocate(capacity: Self.stripeCount)
        for index in 0..<Self.stripeCount { (stripes + index).initialize(to: Stripe()) }
    }

    deinit {
        stripes.deinitialize(count: Self.stripeCount)
        stripes.deallocate()
    }

    /// Returns the stripe of the calling thread, computed from a stack address, because threads' stacks are far apart.
    @inline(__always)
    static func stripeOfThread() -> Int {
        var here: UInt8 = 0
        let address = withUnsafeMutablePointer(to: &here) { UInt(bitPattern: $0) }
        return Int(truncatingIfNeeded: ((address >> 16) &* 0x9E37_79B9_7F4A_7C15) >> 60)
    }

    /// Increments the count of a stripe, and returns whether the stripe was empty.
    @inline(__always)
    func enter(_ stripe: Int) -> Bool {
        stripes[stripe].count.add(1, ordering: .sequentiallyConsistent).oldValue == 0
    }

    @inline(__always)
    func noteBusy(_ stripe: Int, since nanoseconds: Int64) {
        stripes[stripe].busySince.store(nanoseconds, ordering: .relaxed)
    }

    /// Decrements the count of a stripe.
    @inline(__always)
    func leave(_ stripe: Int) {
        stripes[stripe].count.subtract(1, ordering: .sequentiallyConsistent)
    }

    /// The number of events inside; zero after the gate has closed means that none is or will be inside.
    var total: Int {
        (0..<Self.stripeCount).reduce(0) { $0 + stripes[$1].count.load(ordering: .sequentiallyConsistent) }
    }

    /// The time since which the longest-occupied stripe has not been empty; no event inside has entered earlier on it.
    var busySince: Int64? {
        (0..<Self.stripeCount).compactMap { index in
            stripes[index].count.load(ordering: .sequentiallyConsistent) > 0
                ? stripes[index].busySince.load(ordering: .relaxed) : nil
        }.min()
    }
}
