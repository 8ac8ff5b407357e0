/// What became of a lock that was given up.
public struct ReleaseOutcome: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable { case deleted, sessionEnded, stillTrying, stillShared }

    let kind: Kind

    static let deleted = ReleaseOutcome(kind: .deleted)
    static let sessionEnded = ReleaseOutcome(kind: .sessionEnded)
    static let stillTrying = ReleaseOutcome(kind: .stillTrying)
    static let stillShared = ReleaseOutcome(kind: .stillShared)

    /// The own znode is gone: the next in the queue can have the lock.
    public var isDeleted: Bool { kind == .deleted }
    /// The session had ended, and the own znode with it.
    public var isSessionEnded: Bool { kind == .sessionEnded }
    /// The own znode is not known to be gone; its deletion is repeated until it is, or until the session has ended.
    ///
    /// ``Lease/states`` tells when. Others wait as long as this lasts.
    public var isStillTrying: Bool { kind == .stillTrying }
    /// Others in this process hold the lock by the same znode; it goes with the last of them.
    public var isStillShared: Bool { kind == .stillShared }

    /// The outcome's name.
    public var description: String { "\(kind)" }
}
