internal import ZooKeeper

/// Decides whether something that is held is about to be lost: pure.
///
/// Heartbeats leave more than a fifth of the session timeout whenever they are answered in time. What has less left has
/// missed one.
struct LeaseRisk: Sendable {
    /// Until when it would hold when the risk was last seen; a proof moves that on.
    private var unproved: MonotonicInstant?

    /// Whether the lock will be lost at its deadline unless something happens.
    mutating func look(
        now: MonotonicInstant, validUntil: MonotonicInstant, timeout: Duration, isConnected: Bool
    ) -> Bool {
        if !isConnected || validUntil - now < Self.least(timeout) {
            unproved = validUntil
            return true
        }
        // The connection stands; nothing is known of the session before the first proof.
        if let unproved, validUntil <= unproved { return true }
        unproved = nil
        return false
    }

    /// When to look again, if the connection does not change before.
    func nextLook(now: MonotonicInstant, validUntil: MonotonicInstant, timeout: Duration) -> MonotonicInstant {
        let soon = now + timeout / 20
        return unproved == nil ? max(soon, validUntil - Self.least(timeout)) : soon
    }

    private static func least(_ timeout: Duration) -> Duration { timeout / 6 }
}
