public import ZooKeeper

/// The content of a ``ChildrenCache`` or a ``TreeCache``, and its freshness.
public struct CacheEntry: Sendable {
    /// The cached content of the root and of the znodes below it.
    public enum Content: Sendable {
        /// The content has not been read completely yet.
        case unknown
        /// The root does not exist.
        case absent
        /// The root exists, with these znodes below it.
        case present(CacheSnapshot)
        /// The server refuses to read the root, for example without permission; the cache tries again every few
        /// seconds.
        case unreadable(ZooKeeperError)
    }

    /// Whether a content is known to be up to date.
    public typealias Freshness = NodeCache.Freshness

    /// The cached content.
    public var content: Content
    /// Whether the content is known to be up to date, except for znodes that are not watched or cannot be read.
    ///
    /// While something is being read again, the content is stale since the oldest change that has not been applied yet.
    public var freshness: Freshness

    /// Creates an entry, for tests.
    public init(content: Content, freshness: Freshness) {
        self.content = content
        self.freshness = freshness
    }

    /// The znodes below the root, or `nil` if the root does not exist or nothing is known about it.
    public var snapshot: CacheSnapshot? { if case .present(let snapshot) = content { snapshot } else { nil } }
    /// Whether the root is known not to exist.
    public var isAbsent: Bool { if case .absent = content { true } else { false } }
    /// Whether the content is known to be up to date.
    public var isLive: Bool { freshness == .live }
}

/// One change between two snapshots.
public struct CacheChange: Sendable, Hashable {
    /// The znode before the change, or `nil` if it is new.
    public var before: CachedZNode?
    /// The znode after the change, or `nil` if it is gone.
    public var after: CachedZNode?

    /// Creates a change, for tests.
    public init(before: CachedZNode?, after: CachedZNode?) {
        self.before = before
        self.after = after
    }

    /// The path of the znode.
    public var path: String { (after ?? before)?.path ?? "" }
    /// Whether the znode is new.
    public var isAddition: Bool { before == nil }
    /// Whether the znode is gone.
    public var isRemoval: Bool { after == nil }
    /// Whether the znode was deleted and created again, whatever its data and version are.
    public var isRecreation: Bool {
        guard let before = before?.stat?.czxid, let after = after?.stat?.czxid else { return false }
        return before != after
    }
}

/// An entry, and the changes since the previous entry.
public struct CacheUpdate: Sendable {
    /// The current entry.
    public var entry: CacheEntry
    /// The changes, in the order in which they were observed; empty if only the freshness has changed.
    public var changes: [CacheChange]
}

/// The complete sequence of updates of a cache.
///
/// A reader that applies the changes in order has the current snapshot. The first update adds all known znodes. Updates
/// that a slow reader has not read yet are kept in memory.
public struct CacheUpdates: AsyncSequence, Sendable {
    /// One update.
    public typealias Element = CacheUpdate
    /// The sequence never fails.
    ///
    /// It ends when the cache has stopped.
    public typealias Failure = Never

    let stream: AsyncStream<CacheUpdate>

    /// An iterator over the updates.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var iterator: AsyncStream<CacheUpdate>.Iterator
        var isFirst = true

        /// Waits for the next update and returns it, or `nil` if the cache has stopped.
        ///
        /// - Complexity: Sends no requests.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> CacheUpdate? {
            guard var update = await iterator.next(isolation: actor) else { return nil }
            if isFirst {
                isFirst = false
                update.changes = update.entry.snapshot?.sorted.map { CacheChange(before: nil, after: $0) } ?? []
            }
            return update
        }
    }

    /// Creates an iterator that starts with all known znodes.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(iterator: stream.makeAsyncIterator()) }
}
