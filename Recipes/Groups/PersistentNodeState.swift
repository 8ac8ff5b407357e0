public import ZooKeeper

/// Where a ``PersistentNode`` stands.
public enum PersistentNodeState: Sendable, Hashable, CustomStringConvertible {
    /// The znode does not stand, as far as is known: there is no session yet, or it is being created.
    case absent
    /// The znode stands and belongs to the present session.
    case standing(StandingZNode)
    /// It stood when the connection was lost; it does so until the session ends, unless somebody deletes it.
    case unconfirmed(StandingZNode)
    /// Somebody else's znode is in its place; it is respected, and waited for.
    case occupied(StandingZNode)
    /// The ensemble refuses to have it created, or to have the data written that was set last; it is asked again with growing
    /// pauses.
    ///
    /// A znode that was created before may still exist, with the data from before. The state is repeated with each attempt
    /// that is refused.
    case refused(ZooKeeperError)
    /// `run()` has ended.
    case stopped

    /// Whether the znode is known to stand as the own one.
    public var isStanding: Bool { if case .standing = self { true } else { false } }

    /// What stands at the path; `nil` while nothing is known to.
    public var znode: StandingZNode? {
        switch self {
        case .standing(let znode), .unconfirmed(let znode), .occupied(let znode): znode
        case .absent, .refused, .stopped: nil
        }
    }

    /// The state's name, with what is in the way.
    public var description: String {
        switch self {
        case .absent: "absent"
        case .standing: "standing"
        case .unconfirmed: "unconfirmed"
        case .occupied(let znode): "occupied by \(znode)"
        case .refused(let error): "refused: \(error)"
        case .stopped: "stopped"
        }
    }
}

/// A znode as it was seen to stand.
public struct StandingZNode: Sendable, Hashable, CustomStringConvertible {
    /// What it holds.
    public var data: [UInt8]
    /// Its stat; `stat.ephemeralOwner` is the session it belongs to.
    public var stat: ZNodeStat

    /// Makes one, for tests.
    public init(data: [UInt8], stat: ZNodeStat) {
        self.data = data
        self.stat = stat
    }

    /// Whose it is, and what it holds when that is text.
    public var description: String {
        let owner = stat.ephemeralOwner.map { "session \($0)" } ?? "nobody: it is not ephemeral"
        guard let text = String(validating: data.prefix(200), as: UTF8.self), !text.isEmpty else { return owner }
        return "\(owner), \"\(EscapedText.escaped(text))\""
    }
}
