/// The outcome of releasing a lock.
public struct ReleaseOutcome: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable { case deleted, sessionEnded, stillTrying, stillShared }

    let kind: Kind

    static let deleted = ReleaseOutcome(kind: .deleted)
    static let sessionEnded = ReleaseOutcome(kind: .sessionEnded)
    static let stillTrying = ReleaseOutcome(kind: .stillTrying)
    static let stillShared = ReleaseOutcome(kind: .stillShared)

    /// Whether the znode is deleted, so that the next participant in the queue can acquire the lock.
    public var isDeleted: Bool { kind == .deleted }
    /// Whether the session had ended, and the znode with it.
    public var isSessionEnded: Bool { kind == .sessionEnded }
    /// Whether the znode may still exist; the deletion is retried until it succeeds or the session has ended.
    ///
    /// ``Lease/states`` reports the completion. Waiting participants keep waiting until then.
    public var isStillTrying: Bool { kind == .stillTrying }
    /// Whether other users in this process hold the lock by the same znode, which is deleted when the last one leaves.
    public var isStillShared: Bool { kind == .stillShared }

    /// The name of the outcome.
    public var description: String { "\(kind)" }
}
