public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// A cache that keeps the current value of one znode in memory.
///
/// While ``run()`` runs, it reads and watches the znode. ``current`` is the newest answer, and ``changes`` reports each
/// change. A missing znode, a znode that cannot be read, and a content that is not known yet are three different
/// contents.
///
/// ```swift
/// try await withNodeCache(client: client, path: "/service/settings") { cache in
///     for await entry in cache.changes {
///         if let data = entry.data { apply(data) }
///     }
/// }
/// ```
///
/// An answer never replaces a newer one, not even after the client has moved to a server that lags behind. A znode that
/// was deleted and created again is reported as a content with another `stat.czxid`, whatever its data and version are.
/// Changes that follow one another quickly, or that happen while the connection is lost, are reported as one change. A
/// znode that is created and deleted while the connection is lost is not observed.
///
/// A live content is the newest content of the connected server. A server that has lost its leader continues to serve
/// its own content for up to its `syncLimit`. The cache cannot prove what the ensemble holds at this instant.
///
/// If the client has no room for the watch, because caches have used up their part of
/// `ZooKeeperClientConfiguration.maximumPacketSize`, the cache reads the znode every few seconds instead. Its content
/// is then `.stale(since:)` the last read.
///
/// Each change takes 1 request, or 2 if the znode appears or disappears between reads. Each connection takes 1 or 2
/// requests.
public final class NodeCache: Service, Sendable {
    /// The cached content of a znode.
    public enum Content: Sendable, Hashable {
        /// The server has not answered yet.
        case unknown
        /// The znode does not exist.
        case absent
        /// The znode exists, with this data.
        case present(data: [UInt8], stat: ZNodeStat)
        /// The server refuses the read, for example without permission (`.noAuth`); the cache tries again every few
        /// seconds.
        case unreadable(ZooKeeperError)
    }

    /// Whether a content is known to be up to date.
    public enum Freshness: Sendable, Hashable {
        /// The znode is watched on an established connection and has not changed since it was read.
        case live
        /// The content is not known to be up to date since this instant.
        ///
        /// At this instant, the change or the loss of the connection was noticed. If the network drops all packets,
        /// this takes up to two thirds of the session timeout.
        case stale(since: ContinuousClock.Instant)
    }

    /// A content and its freshness.
    public struct Entry: Sendable, Hashable {
        /// The cached content.
        public var content: Content
        /// Whether the content is known to be up to date.
        public var freshness: Freshness

        /// Creates an entry, for tests.
        public init(content: Content, freshness: Freshness) {
            self.content = content
            self.freshness = freshness
        }

        /// The data, or `nil` if the znode is not known to exist.
        public var data: [UInt8]? { if case .present(let data, _) = content { data } else { nil } }
        /// The stat, or `nil` if the znode is not known to exist.
        public var stat: ZNodeStat? { if case .present(_, let stat) = content { stat } else { nil } }
        /// Whether the content is known to be up to date.
        public var isLive: Bool { freshness == .live }
    }

    /// The contents of a znode, without their freshness.
    public struct Contents: AsyncSequence, Sendable {
        /// A content of the znode.
        public typealias Element = Content
        /// The sequence never fails.
        ///
        /// It ends when the cache has stopped.
        public typealias Failure = Never

        let entries: Broadcast<Entry>

        /// An iterator over the contents.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var iterator: AsyncStream<Entry>.Iterator
            /// The content that was returned last.
            var last: Content?

            /// Waits for the next content that differs from the last one, and returns it, or `nil` if the cache has
            /// stopped.
            ///
            /// - Complexity: Sends no requests.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> Content? {
                while let entry = await iterator.next(isolation: actor) {
                    guard entry.content != last else { continue }
                    last = entry.content
                    return entry.content
                }
                return nil
            }
        }

        /// Creates an iterator that starts with the current content.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(iterator: entries.follow(.bufferingNewest(1)).makeAsyncIterator())
        }
    }

    /// The path of the znode.
    public let path: String

    let follower: SubtreeFollower<Entry>

    /// Creates a cache, which knows nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client that reads the znode.
    ///   - path: The path of the znode. The znode does not have to exist.
    ///   - logger: The logger for failed reads.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String, logger: Logger = .current) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        follower = SubtreeFollower(.node(path), client: client, logger: logger) { Entry($0) }
    }

    /// The cached content now; the value comes from memory.
    public var current: Entry { follower.current }

    /// The current entry first, then each entry that differs from the previous one.
    ///
    /// A slow reader skips to the newest entry. A read in progress is not reported. A content that becomes stale with a
    /// lost connection is reported, and so is one that becomes live again. The sequence ends when the cache has
    /// stopped.
    public var changes: AsyncStream<Entry> { follower.entries.follow(.bufferingNewest(1)) }

    /// The current content first, then each different content once.
    ///
    /// A content that only becomes stale, or live again, is not reported; ``changes`` reports that as well. A write of
    /// the same data is a different content, because the stat differs. A slow reader skips to the newest content. The
    /// sequence ends when the cache has stopped.
    public var contents: Contents { Contents(entries: follower.entries) }

    /// Follows the znode until it is cancelled or shut down gracefully, and then removes its watch from the server.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` if the client stops first; ``RecipeError`` with code
    ///   `.invalidArgument` if the cache was run before.
    /// - Complexity: 1 or 2 requests for each connection, then 1 request for each change, or 2 if the znode appears or
    ///   disappears between reads.
    public func run() async throws {
        try await follower.run()
    }
}

/// Runs a cache for the duration of an operation.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The path of the znode. The znode does not have to exist.
///   - logger: The logger for failed reads.
///   - operation: The operation that uses the cache, whose content is unknown at first. When it returns or throws, the
///     cache stops.
/// - Returns: The result of `operation`.
/// - Throws: `ZooKeeperError` with code `.invalidPath`, or the error of `operation`.
/// - Complexity: As ``NodeCache/run()``.
public func withNodeCache<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    logger: Logger = .current,
    _ operation: (NodeCache) async throws -> Result
) async throws -> Result {
    let cache = try NodeCache(client: client, path: path, logger: logger)
    // If the client stops, the cache's sequence ends. Only the result of the operation matters.
    return try await withInnerService(cache, operation: operation)
}

extension NodeCache.Entry {
    /// Creates an entry from the root of a cache entry.
    init(_ entry: CacheEntry) {
        freshness = entry.freshness
        content =
            switch entry.content {
            case .unknown: .unknown
            case .absent: .absent
            case .present(let snapshot):
                if let data = snapshot[""]?.data, let stat = snapshot[""]?.stat {
                    .present(data: data, stat: stat)
                } else {
                    .unknown
                }
            case .unreadable(let error): .unreadable(error)
            }
    }
}

extension SubtreeStateMachine.Scope {
    /// Returns the scope of a single znode.
    static func node(_ path: String) -> Self {
        Self(
            root: path, depth: 0, showsRoot: true, readsData: true, watchBudget: .max, pathOverhead: 0,
            maximumConcurrentReads: 1, interval: .zero, isIncluded: { _ in false }, isRootVital: false)
    }
}
