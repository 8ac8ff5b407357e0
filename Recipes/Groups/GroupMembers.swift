public import ZooKeeper

/// A member of a group.
public struct GroupMember: Sendable, Hashable {
    /// The ID of the member, which is the name of its znode.
    @ZNodeName public var id: String
    /// The data of the member, or `nil` if the data cannot be read or only names are read.
    public var data: [UInt8]?
    /// The stat of the member's znode.
    ///
    /// Its `czxid` distinguishes the member from a previous process with the same ID.
    public var stat: ZNodeStat?
    /// Whether the znode belongs to the membership that lists it.
    ///
    /// The value is always `false` in the list of an observer. It is also `false` while the membership has no session,
    /// or while another owner's znode exists at its path.
    public var isSelf: Bool

    /// Creates a member, for tests.
    public init(id: String, data: [UInt8]?, stat: ZNodeStat?, isSelf: Bool) {
        self.id = id
        self.data = data
        self.stat = stat
        self.isSelf = isSelf
    }
}

/// The members of a group at one moment.
public struct GroupMembers: Sendable, Sequence {
    /// The entry of the cache of the group's children.
    package let entry: CacheEntry
    private let own: OwnZNode?

    /// Creates a list of members.
    ///
    /// - Parameters:
    ///   - entry: The entry of the cache of the group's children.
    ///   - node: The node of the membership that lists the group, or `nil` for an observer.
    init(entry: CacheEntry, node: PersistentNode?) {
        self.entry = entry
        own = node.flatMap(OwnZNode.init)
    }

    /// Whether the members are known; if not, the list is empty.
    public var isKnown: Bool { entry.snapshot != nil || entry.isAbsent }
    /// Whether the list is known to be up to date.
    public var isLive: Bool { entry.isLive }
    /// Whether the list is known to be up to date, or since when it is not.
    public var freshness: CacheEntry.Freshness { entry.freshness }
    /// The number of members.
    public var count: Int { entry.snapshot?.count ?? 0 }
    /// Whether there are no members.
    public var isEmpty: Bool { count == 0 }

    /// The member with an ID, or `nil` if there is none.
    public subscript(id: String) -> GroupMember? { entry.snapshot?[id].map(member) }

    /// All members, sorted by the bytes of their IDs.
    ///
    /// - Complexity: O(*n* log *n*).
    public var sorted: [GroupMember] { (entry.snapshot?.sorted ?? []).map(member) }

    /// Returns an iterator over all members, in no particular order.
    public func makeIterator() -> some IteratorProtocol<GroupMember> {
        (entry.snapshot.map { Array($0) } ?? []).lazy.map(member).makeIterator()
    }

    private func member(_ znode: CachedZNode) -> GroupMember {
        GroupMember(
            id: znode.name, data: znode.data, stat: znode.stat,
            isSelf: own?.isShown(by: znode) ?? false)
    }
}

/// Recognizes the znode of a membership in the list of members.
///
/// The list may show the znode before the node has received the answer to its creation. The session identifies it all
/// the same: no other node of the client creates a znode at that path, and a znode that the program created by other
/// means is known as another owner's.
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
    /// The sequence never fails.
    ///
    /// It ends when the membership or the observer has stopped.
    public typealias Failure = Never

    let stream: AsyncStream<CacheEntry>
    let node: PersistentNode?

    /// An iterator over the changes.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var iterator: AsyncStream<CacheEntry>.Iterator
        let node: PersistentNode?

        /// Waits for the next change and returns the members, or `nil` at the end of the sequence.
        ///
        /// - Complexity: Sends no requests.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> GroupMembers? {
            guard let entry = await iterator.next(isolation: actor) else { return nil }
            return GroupMembers(entry: entry, node: node)
        }
    }

    /// Creates an iterator that starts with the current members.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(iterator: stream.makeAsyncIterator(), node: node)
    }
}
