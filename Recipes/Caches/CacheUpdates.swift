public import ZooKeeper

/// What a ``ChildrenCache`` or a ``TreeCache`` knows, and how fresh that is.
public struct CacheEntry: Sendable {
    /// What is known of the root and of what stands below it.
    public enum Content: Sendable {
        /// It has not been read through so far.
        case unknown
        /// The root does not stand.
        case absent
        /// The root stands, with these below it.
        case present(CacheSnapshot)
        /// The server refuses to tell about the root, as for lack of the right to read; it is asked again every few seconds.
        case unreadable(ZooKeeperError)
    }

    /// Whether a content is known to be the newest.
    public typealias Freshness = NodeCache.Freshness

    /// What is known.
    public var content: Content
    /// Whether it is known to be the newest, but for what is not watched or cannot be read.
    ///
    /// While something is being read again it is stale, since the oldest change that is not taken in yet.
    public var freshness: Freshness

    /// Makes an entry, for tests.
    public init(content: Content, freshness: Freshness) {
        self.content = content
        self.freshness = freshness
    }

    /// What stands below the root; `nil` when the root does not stand, or nothing is known of it.
    public var snapshot: CacheSnapshot? { if case .present(let snapshot) = content { snapshot } else { nil } }
    /// Whether the root is known not to stand.
    public var isAbsent: Bool { if case .absent = content { true } else { false } }
    /// Whether what is known is the newest.
    public var isLive: Bool { freshness == .live }
}

/// One change between two snapshots.
public struct CacheChange: Sendable, Hashable {
    /// What stood before; `nil` when it is new.
    public var before: CachedZNode?
    /// What stands now; `nil` when it is gone.
    public var after: CachedZNode?

    /// Makes a change, for tests.
    public init(before: CachedZNode?, after: CachedZNode?) {
        self.before = before
        self.after = after
    }

    /// The znode's path.
    public var path: String { (after ?? before)?.path ?? "" }
    /// Whether it is new.
    public var isAddition: Bool { before == nil }
    /// Whether it is gone.
    public var isRemoval: Bool { after == nil }
    /// Whether it was deleted and created again, whatever its data and version are.
    public var isRecreation: Bool {
        guard let before = before?.stat?.czxid, let after = after?.stat?.czxid else { return false }
        return before != after
    }
}

/// An entry, and what has changed since the one before.
public struct CacheUpdate: Sendable {
    /// What is known now.
    public var entry: CacheEntry
    /// What is different, in the order in which it was noticed; empty when only the freshness is.
    public var changes: [CacheChange]
}

/// The updates of a cache, none left out: whoever applies their changes one after the other has the snapshot.
///
/// The first one adds all that is known. A reader that is slow keeps what it has not read yet in memory.
public struct CacheUpdates: AsyncSequence, Sendable {
    /// One update.
    public typealias Element = CacheUpdate
    /// It never fails: it ends when the cache has stopped.
    public typealias Failure = Never

    let stream: AsyncStream<CacheUpdate>

    /// Reads the updates.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var iterator: AsyncStream<CacheUpdate>.Iterator
        var isFirst = true

        /// The next update; `nil` when the cache has stopped.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> CacheUpdate? {
            guard var update = await iterator.next(isolation: actor) else { return nil }
            if isFirst {
                isFirst = false
                update.changes = update.entry.snapshot?.sorted.map { CacheChange(before: nil, after: $0) } ?? []
            }
            return update
        }
    }

    /// Begins to read.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(iterator: stream.makeAsyncIterator()) }
}
