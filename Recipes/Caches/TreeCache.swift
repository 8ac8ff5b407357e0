public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// A cache that keeps a znode and all znodes below it in memory.
///
/// While ``run()`` runs, it reads and watches the data and the list of children of each znode. The configuration can
/// limit the depth and filter the znodes. ``current`` is the cached content, ``changes`` reports the newest content,
/// and ``updates`` reports each addition, change and removal.
///
/// ```swift
/// try await withTreeCache(client: client, path: "/settings") { tree in
///     for await update in tree.updates {
///         for change in update.changes { apply(change) }
///     }
/// }
/// ```
///
/// After a change, the cache reads only what has changed. A znode that was deleted and created again is reported as a
/// change with another `stat.czxid`. If a subtree is removed, the removals are reported from the leaves upwards. A
/// snapshot consists of reads at different moments. Znodes that were changed in one transaction may be observed one
/// after the other.
///
/// After a lost connection, one read ensures that nothing was missed. In a new session, the cache reads everything
/// again, after a transaction that checks the root. A server that is disconnected from the quorum cannot answer that
/// transaction.
///
/// A znode that can have children needs two watches. A client has room for watched paths of about 1 MB in total. If
/// this cache is the only one, it gets about half of that: some 5,000 to 8,000 znodes with paths of usual length. See
/// ``Configuration-swift.struct/watchBudget``. Further znodes are read again every
/// ``Configuration-swift.struct/pollInterval``.
///
/// The first content takes 2 requests for each znode, or 1 for an ephemeral znode, with a limited number of requests in
/// progress. Each change takes 1 request.
public final class TreeCache: Service, Sendable {
    /// The configuration of a cache: what it reads and how much at a time.
    public struct Configuration: Sendable {
        /// The number of levels below the root to cache; 0 is the root alone.
        ///
        /// Default: `Int.max`, which means all levels.
        public var depth = Int.max
        /// The budget for the watched paths, in bytes: for each path, its length and 4 bytes, twice for data and
        /// children.
        ///
        /// Default: `Int.max`, which means as much as the client has room for. The room depends on
        /// `ZooKeeperClientConfiguration.maximumPacketSize` and on the other watches of the client. Locks and elections
        /// take precedence. A cache may take twice as much as it leaves to the other caches of its client. With the
        /// default packet size, a single cache has about 524,000 bytes, and a second one of the same size about 175,000
        /// bytes.
        public var watchBudget = Int.max
        /// The interval at which znodes that are not watched are read again.
        ///
        /// Default: 60 s.
        public var pollInterval: Duration = .seconds(60)
        /// The largest number of reads in progress at a time.
        ///
        /// Default: 256.
        public var maximumConcurrentReads = 256
        /// A filter that selects the znodes to cache by their absolute paths.
        ///
        /// Znodes below a znode that is filtered out are not read. Default: all znodes.
        public var isIncluded: @Sendable (_ path: String) -> Bool = { _ in true }

        /// Creates a configuration with the default values.
        public init() {}
    }

    /// The path of the root of the tree.
    public let path: String
    let follower: SubtreeFollower<CacheEntry>

    /// Creates a cache, which knows nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client that reads the znodes.
    ///   - path: The path of the root of the tree. The root does not have to exist.
    ///   - configuration: The settings of the cache.
    ///   - logger: The logger for failed reads.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, or `.invalidConfiguration` if the depth is negative, or the
    ///   interval or the number of reads is not above zero.
    public init(
        client: ZooKeeperClient, path: String, configuration: Configuration = Configuration(),
        logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        let scope = try SubtreeStateMachine.Scope(
            root: path, depth: configuration.depth, showsRoot: true, readsData: true,
            limits: .init(
                watchBudget: configuration.watchBudget, maximumConcurrentReads: configuration.maximumConcurrentReads,
                interval: configuration.pollInterval),
            client: client, isIncluded: configuration.isIncluded)
        follower = SubtreeFollower(scope, client: client, logger: logger) { $0 }
    }

    /// The cached content now; the value comes from memory.
    public var current: CacheEntry { follower.current }

    /// The current entry first, then each entry that differs from the previous one.
    ///
    /// A slow reader skips to the newest entry. A read in progress is not reported. A content that becomes stale with a
    /// lost connection is reported, and so is one that becomes live again. The sequence ends when the cache has
    /// stopped.
    public var changes: AsyncStream<CacheEntry> { follower.entries.follow(.bufferingNewest(1)) }

    /// All known znodes first, then each addition, change and removal, without gaps.
    public var updates: CacheUpdates { CacheUpdates(stream: follower.updates.follow()) }

    /// Follows the tree until it is cancelled or shut down gracefully, and then removes its watches from the server.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` if the client stops first; ``RecipeError`` with code
    ///   `.invalidArgument` if the cache was run before.
    /// - Complexity: 2 requests for each znode at first, or 1 for an ephemeral znode, then 1 request for each change.
    public func run() async throws {
        try await follower.run()
    }
}

/// Runs a cache of a znode and all znodes below it for the duration of an operation.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The path of the root of the tree. The root does not have to exist.
///   - configuration: The settings of the cache.
///   - logger: The logger for failed reads.
///   - operation: The operation that uses the cache, whose content is unknown at first. When it returns or throws, the
///     cache stops.
/// - Returns: The result of `operation`.
/// - Throws: `ZooKeeperError` with code `.invalidPath` or `.invalidConfiguration`, or the error of `operation`.
/// - Complexity: As ``TreeCache/run()``.
public func withTreeCache<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    configuration: TreeCache.Configuration = .init(),
    logger: Logger = .current,
    _ operation: (TreeCache) async throws -> Result
) async throws -> Result {
    let cache = try TreeCache(client: client, path: path, configuration: configuration, logger: logger)
    // If the client stops, the cache's sequence ends. Only the result of the operation matters.
    return try await withInnerService(cache, operation: operation)
}
