import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The error of a command about a lock that another operator is taking away from its holder.
struct EvictionInProgress: Error, CustomStringConvertible {
    var description: String

    /// Creates the error about a placeholder; `nil` if the entry is that of a participant.
    init?(_ entry: LockQueueEntry) {
        guard let eviction = entry.eviction else { return nil }
        description = eviction.text(operatorID: entry.participantID, since: entry.queuedAt)
    }
}

extension LockQueueEntry.Eviction {
    /// Who evicts whom and why, and how long that blocks the next participant.
    ///
    /// - Parameters:
    ///   - operatorID: The ID of the operator.
    ///   - start: The time of the ensemble's clock at which the eviction began; `nil` if it is unknown.
    ///   - now: The time of this host's clock.
    func text(operatorID: String, since start: Timestamp?, now: Timestamp = .now) -> String {
        let name = operatorID.isEmpty ? "an operator without an ID" : operatorID
        let holder = participantID.isEmpty ? "a holder without an ID" : participantID
        let subject = "\(name) is evicting \(holder)" + (reason.isEmpty ? "" : " (\(reason))")
        guard let start else { return "\(subject); the remaining time is unknown" }
        // The clocks of the hosts differ.
        let rest = min(max(duration - (now - start), .zero), duration)
        guard rest > .zero else { return "\(subject); that ends soon, at the latest with the session of its client" }
        return "\(subject); about \(Text.seconds(.seconds((rest + .milliseconds(999)).components.seconds))) remain"
    }
}
