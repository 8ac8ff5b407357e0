public import ZooKeeper

/// The state of a ``PersistentNode``.
public enum PersistentNodeState: Sendable, Hashable, CustomStringConvertible {
    /// The znode did not exist when last observed: there is no session yet, or it is being created.
    case absent
    /// The znode exists and belongs to the current session.
    case present(ExistingZNode)
    /// The znode existed when the connection was lost.
    ///
    /// It exists until the session ends, unless another client deletes it.
    case unconfirmed(ExistingZNode)
    /// Another owner's znode exists at the path.
    ///
    /// The node leaves it untouched and waits until it is gone.
    case occupied(ExistingZNode)
    /// The ensemble refuses to create the znode, or to write the data that was set last.
    ///
    /// The node tries again, with growing pauses. A znode that was created before may still exist, with its earlier
    /// data. The state is reported again with each attempt that is refused.
    case refused(ZooKeeperError)
    /// `run()` has ended.
    case stopped

    /// Whether the node's own znode is known to exist.
    public var isPresent: Bool { if case .present = self { true } else { false } }

    /// The znode at the path, or `nil` while none is known to exist.
    public var znode: ExistingZNode? {
        switch self {
        case .present(let znode), .unconfirmed(let znode), .occupied(let znode): znode
        case .absent, .refused, .stopped: nil
        }
    }

    /// The name of the state, with the obstacle if there is one.
    public var description: String {
        switch self {
        case .absent: "absent"
        case .present: "present"
        case .unconfirmed: "unconfirmed"
        case .occupied(let znode): "occupied by \(znode)"
        case .refused(let error): "refused: \(error)"
        case .stopped: "stopped"
        }
    }
}

/// A znode as it was last read.
public struct ExistingZNode: Sendable, Hashable, CustomStringConvertible {
    /// The data of the znode.
    public var data: [UInt8]
    /// The stat of the znode; `stat.ephemeralOwner` is the session that owns it.
    public var stat: ZNodeStat

    /// Creates a znode, for tests.
    public init(data: [UInt8], stat: ZNodeStat) {
        self.data = data
        self.stat = stat
    }

    /// The owner of the znode, and its data if that is text.
    public var description: String {
        let owner = stat.ephemeralOwner.map { "session \($0)" } ?? "no session: it is not ephemeral"
        guard let text = String(validating: data.prefix(200), as: UTF8.self), !text.isEmpty else { return owner }
        return "\(owner), \"\(EscapedText.escaped(text))\""
    }
}
