public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// Keeps the children of one znode in memory, with their data.
///
/// ``run()`` lists and reads them and watches them, for as long as it runs; ``current`` is what is known, ``changes`` tells
/// of the newest, and ``updates`` of each single addition, change and removal.
///
/// ```swift
/// try await withChildrenCache("/service/instances", client: client) { cache in
///     for await entry in cache.changes {
///         if let instances = entry.snapshot { balancer.use(instances.map(\.data)) }
///     }
/// }
/// ```
///
/// A change of one child reads that child again, and nothing else; a child that comes or goes lists the znode again. A child
/// that was deleted and created again shows as a change with another `stat.czxid`, whatever its data and version are, when
/// its data is read. Changes that follow one another quickly, or that happen while the connection is lost, show as one.
/// A new child is shown when it has been read.
///
/// After a lost connection one listing shows that nothing was missed: the server tells what has changed, and only that is
/// read again. A new session reads everything again, after a transaction that checks the path:
/// a server that is cut off cannot answer that.
///
/// The client has room for watched paths of about 1 MB together, of which this cache gets about half if it is the only one:
/// some 20,000 children with names of usual length. See ``Configuration-swift.struct/watchBudget``. Further children are
/// read as well, but a write to one of them is seen only when it is read again, every
/// ``Configuration-swift.struct/interval``; ``CachedZNode/isWatched`` tells them apart. Children that come and go are seen
/// at once, however many they are.
///
/// A live content is what the connected server knew last; a server that is cut off from its leader may be behind.
///
/// Costs one request a child at first and one for the listing, in flights of bounded size; then one request a change.
public final class ChildrenCache: Service, Sendable {
    /// What a cache reads and how much at a time.
    public struct Configuration: Sendable {
        /// Whether the children's data is read and watched; else their names are all.
        ///
        /// With names alone one request a change is enough for any number of children, but a child that was deleted and
        /// created again between two listings is not told apart. Default: `true`.
        public var readsData = true
        /// What the watched paths may take together, in bytes: each its length and four.
        ///
        /// Default: `Int.max`, as much as the client has room for. That depends on
        /// `ZooKeeperClientConfiguration.maximumPacketSize` and on what else the client watches. Locks and elections come
        /// first. A cache may take twice as much as it leaves to the other caches of its client: with the default packet
        /// size one cache alone has about 524,000 bytes, and a second one as large about 175,000.
        public var watchBudget = Int.max
        /// The time between two looks at a child that is not watched.
        ///
        /// Default: 60 s.
        public var interval: Duration = .seconds(60)
        /// The most reads on the wire at a time.
        ///
        /// Default: 256.
        public var readsInFlight = 256
        /// Which children are followed, by their names; the others cost nothing but their name in the listing.
        public var isIncluded: @Sendable (_ name: String) -> Bool = { _ in true }

        /// Makes a configuration of the defaults.
        public init() {}
    }

    /// The znode whose children are followed.
    public let path: String
    let follower: SubtreeFollower<CacheEntry>

    /// Makes a cache; it knows nothing before it runs.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, or `.invalidConfiguration` for an interval or a number of reads
    ///   that is not over zero.
    public init(
        _ path: String, client: ZooKeeperClient, configuration: Configuration = Configuration(),
        logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        let isIncluded = configuration.isIncluded
        let scope = try SubtreeStateMachine.Scope(
            root: path, depth: 1, showsRoot: false, readsData: configuration.readsData,
            limits: .init(
                watchBudget: configuration.watchBudget, readsInFlight: configuration.readsInFlight,
                interval: configuration.interval),
            client: client
        ) { isIncluded(ZNodeKey.name(ofPath: $0)) }
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

    /// Follows the children until it is cancelled or shut down gracefully; takes its watches away from the server then.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` when the client stops first, `.invalidArgument`
    ///   when it was run before.
    public func run() async throws {
        try await follower.run()
    }
}

/// Runs a cache of a znode's children for as long as an operation takes.
///
/// - Parameters:
///   - path: The znode. It need not stand.
///   - client: A client that runs.
///   - configuration: What is read.
///   - logger: Where the cache tells why it cannot read.
///   - operation: Uses the cache, whose content is unknown at first; when it returns or throws, the cache is stopped.
/// - Returns: What `operation` returned.
/// - Throws: `ZooKeeperError` with code `.invalidPath`, or the error of `operation`.
public func withChildrenCache<Result: Sendable>(
    _ path: String,
    client: ZooKeeperClient,
    configuration: ChildrenCache.Configuration = .init(),
    logger: Logger = .current,
    operation: (ChildrenCache) async throws -> Result
) async throws -> Result {
    let cache = try ChildrenCache(path, client: client, configuration: configuration, logger: logger)
    // A client that stops ends the cache's sequence; the operation is what counts.
    return try await withInnerService(cache, operation: operation)
}

extension SubtreeStateMachine.Scope {
    struct Limits {
        var watchBudget: Int
        var readsInFlight: Int
        var interval: Duration
    }

    init(
        root: String, depth: Int, showsRoot: Bool, readsData: Bool, limits: Limits, client: ZooKeeperClient,
        isIncluded: @escaping @Sendable (String) -> Bool
    ) throws(ZooKeeperError) {
        guard limits.readsInFlight > 0, limits.interval > .zero, depth >= 0 else {
            throw ZooKeeperError(
                .invalidConfiguration, path: root,
                message:
                    "\(limits.readsInFlight) reads in flight, an interval of \(limits.interval), a depth of \(depth)")
        }
        self.init(
            root: root, depth: depth, showsRoot: showsRoot, readsData: readsData, watchBudget: limits.watchBudget,
            pathOverhead: 4 + (client.configuration.chroot?.string.utf8.count ?? 0),
            readsInFlight: limits.readsInFlight, interval: limits.interval, isIncluded: isIncluded)
    }
}

extension ZNodeKey {
    static func name(ofPath path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(decoding: path.utf8[path.utf8.index(after: slash)...], as: UTF8.self)
    }
}
