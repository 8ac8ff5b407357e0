internal import ZooKeeper

/// Decides whether a held lock is about to be lost, without side effects.
///
/// As long as heartbeats are answered in time, more than a fifth of the session timeout remains. If less remains, a
/// heartbeat was missed.
struct LeaseRisk: Sendable {
    /// The deadline at the time the risk was last detected; confirming the session moves the deadline past it.
    private var unproved: MonotonicInstant?

    /// Returns whether the lock will be lost at its deadline unless the session is confirmed.
    mutating func look(
        now: MonotonicInstant, validUntil: MonotonicInstant, timeout: Duration, isConnected: Bool
    ) -> Bool {
        if !isConnected || validUntil - now < Self.least(timeout) {
            unproved = validUntil
            return true
        }
        // The client is connected, but the session is not yet confirmed on this connection.
        if let unproved, validUntil <= unproved { return true }
        unproved = nil
        return false
    }

    /// Returns the time of the next evaluation if the connection does not change earlier.
    func nextLook(now: MonotonicInstant, validUntil: MonotonicInstant, timeout: Duration) -> MonotonicInstant {
        let soon = now + timeout / 20
        return unproved == nil ? max(soon, validUntil - Self.least(timeout)) : soon
    }

    private static func least(_ timeout: Duration) -> Duration { timeout / 6 }
}
