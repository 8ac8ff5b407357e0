public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// A cache that keeps the children of one znode in memory, with their data.
///
/// While ``run()`` runs, it lists, reads and watches the children. ``current`` is the cached content, ``changes``
/// reports the newest content, and ``updates`` reports each addition, change and removal.
///
/// ```swift
/// try await withChildrenCache(client: client, path: "/service/instances") { cache in
///     for await entry in cache.changes {
///         if let instances = entry.snapshot { balancer.use(instances.map(\.data)) }
///     }
/// }
/// ```
///
/// If one child changes, the cache reads only that child again. If a child is added or removed, the cache lists the
/// znode again. A child that was deleted and created again is reported as a change with another `stat.czxid`, whatever
/// its data and version are, provided that its data is read. Changes that follow one another quickly, or that happen
/// while the connection is lost, are reported as one change. A new child appears once it has been read.
///
/// After a lost connection, one listing ensures that nothing was missed: the server notifies about the changes, and the
/// cache reads only these again. In a new session, the cache reads everything again, after a transaction that checks
/// the path. A server that is disconnected from the quorum cannot answer that transaction.
///
/// The client has room for watched paths of about 1 MB in total. If this cache is the only one, it gets about half of
/// that: some 20,000 children with names of usual length. See ``Configuration-swift.struct/watchBudget``. Further
/// children are read as well, but not watched. A write to one of them is observed only when it is read again, every
/// ``Configuration-swift.struct/pollInterval``. ``CachedZNode/isWatched`` distinguishes them. Additions and removals of
/// children are observed at once, whatever their number.
///
/// A live content is the newest content of the connected server. A server that is disconnected from its leader may be
/// behind.
///
/// The first content takes one listing and 1 request for each child, with a limited number of requests in progress.
/// Each change takes 1 request.
public final class ChildrenCache: Service, Sendable {
    /// The configuration of a cache: what it reads and how much at a time.
    public struct Configuration: Sendable {
        /// Whether the data of the children is read and watched; otherwise only their names are read.
        ///
        /// With names alone, each change takes 1 request, whatever the number of children. But the cache then does not
        /// notice that a child was deleted and created again between two listings. Default: `true`.
        public var readsData = true
        /// The budget for the watched paths, in bytes: for each path, its length and 4 bytes.
        ///
        /// Default: `Int.max`, which means as much as the client has room for. The room depends on
        /// `ZooKeeperClientConfiguration.maximumPacketSize` and on the other watches of the client. Locks and elections
        /// take precedence. A cache may take twice as much as it leaves to the other caches of its client. With the
        /// default packet size, a single cache has about 524,000 bytes, and a second one of the same size about 175,000
        /// bytes.
        public var watchBudget = Int.max
        /// The interval at which children that are not watched are read again.
        ///
        /// Default: 60 s.
        public var pollInterval: Duration = .seconds(60)
        /// The largest number of reads in progress at a time.
        ///
        /// Default: 256.
        public var maximumConcurrentReads = 256
        /// A filter that selects the children to cache by their names.
        ///
        /// Other children cost nothing except for their names in the listing. Default: all children.
        public var isIncluded: @Sendable (_ name: String) -> Bool = { _ in true }

        /// Creates a configuration with the default values.
        public init() {}
    }

    /// The path of the znode whose children are cached.
    public let path: String
    let follower: SubtreeFollower<CacheEntry>

    /// Creates a cache, which knows nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client that reads the znodes.
    ///   - path: The path of the znode whose children are cached. The znode does not have to exist.
    ///   - configuration: The settings of the cache.
    ///   - logger: The logger for failed reads.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, or `.invalidConfiguration` if the interval or the number of
    ///   reads is not above zero.
    public init(
        client: ZooKeeperClient, path: String, configuration: Configuration = Configuration(),
        logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        let isIncluded = configuration.isIncluded
        let scope = try SubtreeStateMachine.Scope(
            root: path, depth: 1, showsRoot: false, readsData: configuration.readsData,
            limits: .init(
                watchBudget: configuration.watchBudget, maximumConcurrentReads: configuration.maximumConcurrentReads,
                interval: configuration.pollInterval),
            client: client
        ) { isIncluded(ZNodeKey.name(ofPath: $0)) }
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

    /// Follows the children until it is cancelled or shut down gracefully, and then removes its watches from the
    /// server.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` if the client stops first; ``RecipeError`` with code
    ///   `.invalidArgument` if the cache was run before.
    /// - Complexity: 1 listing and 1 request for each child at first, then 1 request for each change.
    public func run() async throws {
        try await follower.run()
    }
}

/// Runs a cache of a znode's children for the duration of an operation.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The path of the znode. The znode does not have to exist.
///   - configuration: The settings of the cache.
///   - logger: The logger for failed reads.
///   - operation: The operation that uses the cache, whose content is unknown at first. When it returns or throws, the
///     cache stops.
/// - Returns: The result of `operation`.
/// - Throws: `ZooKeeperError` with code `.invalidPath` or `.invalidConfiguration`, or the error of `operation`.
/// - Complexity: As ``ChildrenCache/run()``.
public func withChildrenCache<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    configuration: ChildrenCache.Configuration = .init(),
    logger: Logger = .current,
    _ operation: (ChildrenCache) async throws -> Result
) async throws -> Result {
    let cache = try ChildrenCache(client: client, path: path, configuration: configuration, logger: logger)
    // If the client stops, the cache's sequence ends. Only the result of the operation matters.
    return try await withInnerService(cache, operation: operation)
}

extension SubtreeStateMachine.Scope {
    struct Limits {
        var watchBudget: Int
        var maximumConcurrentReads: Int
        var interval: Duration
    }

    init(
        root: String, depth: Int, showsRoot: Bool, readsData: Bool, limits: Limits, client: ZooKeeperClient,
        isIncluded: @escaping @Sendable (String) -> Bool
    ) throws(ZooKeeperError) {
        guard limits.maximumConcurrentReads > 0, limits.interval > .zero, depth >= 0 else {
            throw ZooKeeperError(
                .invalidConfiguration, path: root,
                message:
                    "maximumConcurrentReads is \(limits.maximumConcurrentReads), pollInterval \(limits.interval) and depth "
                    + "\(depth); the first two must be over 0, and the depth must not be negative"
            )
        }
        self.init(
            root: root, depth: depth, showsRoot: showsRoot, readsData: readsData, watchBudget: limits.watchBudget,
            pathOverhead: 4 + (client.configuration.chroot?.string.utf8.count ?? 0),
            maximumConcurrentReads: limits.maximumConcurrentReads, interval: limits.interval, isIncluded: isIncluded)
    }
}

extension ZNodeKey {
    static func name(ofPath path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(decoding: path.utf8[path.utf8.index(after: slash)...], as: UTF8.self)
    }
}
