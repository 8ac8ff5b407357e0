public import ZooKeeper

/// One member of a group.
public struct GroupMember: Sendable, Hashable {
    /// Its id: the znode's name.
    @ZNodeName public var id: String
    /// What it tells of itself; `nil` when it may not be read, or only names are followed.
    public var data: [UInt8]?
    /// The znode's stat; its `czxid` tells a member from an earlier life under the same id.
    public var stat: ZNodeStat?
    /// Whether the znode is the one of the membership that lists it; never true in the list of an observer.
    ///
    /// It is not while that membership has no session, or somebody else's znode is in the place of its own.
    public var isSelf: Bool

    /// Makes a member, for tests.
    public init(id: String, data: [UInt8]?, stat: ZNodeStat?, isSelf: Bool) {
        self.id = id
        self.data = data
        self.stat = stat
        self.isSelf = isSelf
    }
}

/// The members of a group at one moment.
public struct GroupMembers: Sendable, Sequence {
    /// What the cache of the group's children shows.
    package let entry: CacheEntry
    private let own: OwnZNode?

    /// - Parameter node: The own znode of the membership that lists the group; `nil` for an observer.
    init(entry: CacheEntry, node: PersistentNode?) {
        self.entry = entry
        own = node.flatMap(OwnZNode.init)
    }

    /// Whether the group has been read at all; before that nobody is listed.
    public var isKnown: Bool { entry.snapshot != nil || entry.isAbsent }
    /// Whether this is known to be the newest.
    public var isLive: Bool { entry.isLive }
    /// Whether this is known to be the newest, or since when it is not.
    public var freshness: CacheEntry.Freshness { entry.freshness }
    /// How many members there are.
    public var count: Int { entry.snapshot?.count ?? 0 }
    /// Whether there is nobody.
    public var isEmpty: Bool { count == 0 }

    /// The member of an id.
    public subscript(id: String) -> GroupMember? { entry.snapshot?[id].map(member) }

    /// All members by their ids.
    ///
    /// - Complexity: O(*n* log *n*).
    public var sorted: [GroupMember] { (entry.snapshot?.sorted ?? []).map(member) }

    /// All members, in no order.
    public func makeIterator() -> some IteratorProtocol<GroupMember> {
        (entry.snapshot.map { Array($0) } ?? []).lazy.map(member).makeIterator()
    }

    private func member(_ znode: CachedZNode) -> GroupMember {
        GroupMember(
            id: znode.name, data: znode.data, stat: znode.stat,
            isSelf: own?.isShown(by: znode) ?? false)
    }
}

/// Recognizes the own znode of a membership.
///
/// The list may show it before its creator has the answer. But no other node of the client creates at that path, and what
/// the program has created there by other means is known as somebody else's.
private struct OwnZNode: Sendable {
    private let name: String
    private let session: SessionID
    private var stranger: ZXID?

    init?(_ node: PersistentNode) {
        guard NodeClaims.isHeld(by: node), let session = node.client.session?.id,
            let slash = node.path.utf8.lastIndex(of: UInt8(ascii: "/"))
        else { return nil }
        name = String(node.path[node.path.utf8.index(after: slash)...])
        self.session = session
        if case .occupied(let znode) = node.state { stranger = znode.stat.czxid }
    }

    func isShown(by znode: CachedZNode) -> Bool {
        guard let stat = znode.stat, stat.ephemeralOwner == session, stat.czxid != stranger else { return false }
        return znode.name.utf8.elementsEqual(name.utf8)
    }
}

/// The members of a group as they change.
public struct GroupChanges: AsyncSequence, Sendable {
    /// The members at one moment.
    public typealias Element = GroupMembers
    /// It never fails: it ends when the membership or the observer has stopped.
    public typealias Failure = Never

    let stream: AsyncStream<CacheEntry>
    let node: PersistentNode?

    /// Reads the changes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var iterator: AsyncStream<CacheEntry>.Iterator
        let node: PersistentNode?

        /// The members after the next change; `nil` when nothing comes any more.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> GroupMembers? {
            guard let entry = await iterator.next(isolation: actor) else { return nil }
            return GroupMembers(entry: entry, node: node)
        }
    }

    /// Begins to read.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(iterator: stream.makeAsyncIterator(), node: node)
    }
}
