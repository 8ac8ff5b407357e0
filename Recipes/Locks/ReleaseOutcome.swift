/// The outcome of releasing a lock.
public enum ReleaseOutcome: Sendable, Hashable {
    /// The znode is deleted, so the next participant in the queue can acquire the lock.
    case deleted
    /// The session had ended, and the znode with it.
    case sessionEnded
    /// The znode may still exist; the deletion is retried until it succeeds or the session has ended.
    ///
    /// ``Lease/states`` reports the completion. Waiting participants keep waiting until then.
    case stillTrying
    /// Other users in this process hold the lock by the same znode, which is deleted when the last one leaves.
    case stillShared
}
