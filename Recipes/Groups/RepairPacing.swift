internal import ZooKeeper

/// Limits how fast a znode is restored if other clients delete or overwrite it repeatedly.
///
/// The first repairs are immediate. Further repairs in quick succession are separated by growing pauses, until no
/// repair was needed for a while.
struct RepairPacing: Sendable {
    private var backoff: Backoff
    private var last: MonotonicInstant?
    private var quickRepairs = 0
    private var due: MonotonicInstant?
    private static let immediateRepairs = 3
    private static let calm = Backoff.Policy.repair.limit

    init(seed: UInt64) {
        backoff = Backoff(.repair, seed: seed)
    }

    /// Decides whether a repair may start now.
    ///
    /// - Returns: `nil` if the repair may start, in which case it is counted. Otherwise the instant to wait for before
    ///   asking again.
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
