internal import ZooKeeper

/// Limits how fast a znode is restored that others delete or overwrite again and again.
///
/// The first repairs are immediate. Further ones in quick succession are separated by growing pauses, until nothing had to
/// be repaired for a while.
struct RepairPacing: Sendable {
    private var backoff: Backoff
    private var last: MonotonicInstant?
    private var quickRepairs = 0
    private var due: MonotonicInstant?
    private static let immediateRepairs = 3
    private static let calm = Duration.seconds(5)

    init(seed: UInt64) {
        backoff = Backoff(initial: .milliseconds(20), cap: Self.calm, seed: seed)
    }

    /// Decides whether a repair may be made now.
    ///
    /// - Returns: `nil` if it may, and is counted; otherwise the instant to wait for before asking again.
    mutating func start(now: MonotonicInstant) -> MonotonicInstant? {
        if let due, now < due { return due }
        if due == nil {
            let isQuick = last.map { now - $0 <= Self.calm } ?? false
            quickRepairs = isQuick ? quickRepairs + 1 : 0
            if !isQuick { backoff.reset() }
            if quickRepairs >= Self.immediateRepairs {
                due = now + backoff.pause()
                return due
            }
        }
        due = nil
        last = now
        return nil
    }
}
