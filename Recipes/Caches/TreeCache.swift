public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// Keeps a znode and everything below it in memory.
///
/// ``run()`` reads and watches each znode's data and its list of children, for as long as it runs, down to a depth and
/// through a filter if so configured; ``current`` is what is known, ``changes`` tells of the newest, and ``updates`` of
/// each single addition, change and removal.
///
/// ```swift
/// try await withTreeCache("/settings", client: client) { tree in
///     for await update in tree.updates {
///         for change in update.changes { apply(change) }
///     }
/// }
/// ```
///
/// A change reads again what has changed, and nothing else. A znode that was deleted and created again shows as a change
/// with another `stat.czxid`. A subtree that vanishes is told from its leaves upwards. A snapshot is what was read at
/// different moments: znodes that were changed in one transaction may be seen one after the other.
///
/// After a lost connection one read shows that nothing was missed; a new session reads everything again, after a
/// transaction that checks the root: a server that is cut off cannot answer that.
///
/// A znode that may have children needs two watches. A client has room for watched paths of about 1 MB, of which this cache
/// gets about half if it is the only one: some 5,000 to 8,000 znodes with paths of usual length. See
/// ``Configuration-swift.struct/watchBudget``. Further znodes are read again every
/// ``Configuration-swift.struct/interval``.
///
/// Costs two requests a znode at first, one for an ephemeral one, in flights of bounded size; then one request a change.
public final class TreeCache: Service, Sendable {
    /// What a cache reads and how much at a time.
    public struct Configuration: Sendable {
        /// How many levels below the root are followed; 0 is the root alone.
        ///
        /// Default: `Int.max`, all of them.
        public var depth = Int.max
        /// What the watched paths may take together, in bytes: each its length and four, twice for data and children.
        ///
        /// Default: `Int.max`, as much as the client has room for. That depends on
        /// `ZooKeeperClientConfiguration.maximumPacketSize` and on what else the client watches. Locks and elections come
        /// first. A cache may take twice as much as it leaves to the other caches of its client: with the default packet
        /// size one cache alone has about 524,000 bytes, and a second one as large about 175,000.
        public var watchBudget = Int.max
        /// The time between two looks at what is not watched.
        ///
        /// Default: 60 s.
        public var interval: Duration = .seconds(60)
        /// The most reads on the wire at a time.
        ///
        /// Default: 256.
        public var readsInFlight = 256
        /// Which znodes are followed, by their absolute paths; nothing below one that is not is looked at.
        public var isIncluded: @Sendable (_ path: String) -> Bool = { _ in true }

        /// Makes a configuration of the defaults.
        public init() {}
    }

    /// The znode on top.
    public let path: String
    let follower: SubtreeFollower<CacheEntry>

    /// Makes a cache; it knows nothing before it runs.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, or `.invalidConfiguration` for a depth that is negative, or an
    ///   interval or a number of reads that is not over zero.
    public init(
        _ path: String, client: ZooKeeperClient, configuration: Configuration = Configuration(),
        logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        let scope = try SubtreeStateMachine.Scope(
            root: path, depth: configuration.depth, showsRoot: true, readsData: true,
            limits: .init(
                watchBudget: configuration.watchBudget, readsInFlight: configuration.readsInFlight,
                interval: configuration.interval),
            client: client, isIncluded: configuration.isIncluded)
        follower = SubtreeFollower(scope, client: client, logger: logger) { $0 }
    }

    /// What is known now; from memory.
    public var current: CacheEntry { follower.current }

    /// The current entry first, then each that differs from the one before.
    ///
    /// A slow reader skips to the newest. That something is being read again is not told; that the content has become stale
    /// with a lost connection, and live again, is. The sequence ends when the cache has stopped.
    public var changes: AsyncStream<CacheEntry> { follower.entries.follow(.bufferingNewest(1)) }

    /// All that is known first, then each addition, change and removal, none left out.
    public var updates: CacheUpdates { CacheUpdates(stream: follower.updates.follow()) }

    /// Follows the tree until it is cancelled or shut down gracefully; takes its watches away from the server then.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` when the client stops first, `.invalidArgument`
    ///   when it was run before.
    public func run() async throws {
        try await follower.run()
    }
}

/// Runs a cache of a znode and what stands below it for as long as an operation takes.
///
/// - Parameters:
///   - path: The znode on top. It need not stand.
///   - client: A client that runs.
///   - configuration: What is read.
///   - logger: Where the cache tells why it cannot read.
///   - operation: Uses the cache, whose content is unknown at first; when it returns or throws, the cache is stopped.
/// - Returns: What `operation` returned.
/// - Throws: `ZooKeeperError` with code `.invalidPath`, or the error of `operation`.
public func withTreeCache<Result: Sendable>(
    _ path: String,
    client: ZooKeeperClient,
    configuration: TreeCache.Configuration = .init(),
    logger: Logger = .current,
    operation: (TreeCache) async throws -> Result
) async throws -> Result {
    let cache = try TreeCache(path, client: client, configuration: configuration, logger: logger)
    // A client that stops ends the cache's sequence; the operation is what counts.
    return try await withInnerService(cache, operation: operation)
}
