public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// Keeps the current value of one znode in memory.
///
/// ``run()`` reads the znode and watches it, for as long as it runs; ``current`` is the newest answer and ``changes`` tells
/// of each. That the znode is missing, that it cannot be read, and that nothing is known so far are different contents.
///
/// ```swift
/// try await withNodeCache("/service/settings", client: client) { cache in
///     for await entry in cache.changes {
///         if let data = entry.data { apply(data) }
///     }
/// }
/// ```
///
/// An answer never replaces a newer one, also not when the client has moved to a server that lags. A znode that was
/// deleted and created again shows as a content with another `stat.czxid`, whatever its data and version are. Changes that
/// follow one another quickly, or that happen while the connection is lost, show as one: a znode that was created and
/// deleted within a cut is not seen.
///
/// A live content is what the connected server knew last. A server that has lost its leader goes on serving what it has
/// for up to its `syncLimit`: nothing here proves what the ensemble holds at this instant.
///
/// When the client has no room for the watch, because caches have used up their part of
/// `ZooKeeperClientConfiguration.maximumPacketSize`, the znode is read every few seconds instead; its content is then
/// `.stale(since:)` the last read.
///
/// Costs one request a change; two when the znode appears or vanishes between reads; one or two for each connection.
public final class NodeCache: Service, Sendable {
    /// What is known of a znode.
    public enum Content: Sendable, Hashable {
        /// There was no answer so far.
        case unknown
        /// The znode does not stand.
        case absent
        /// The znode stands, with these data.
        case present(data: [UInt8], stat: ZNodeStat)
        /// The server refuses to tell, as for lack of the right to read (`.noAuth`); it is asked again every few seconds.
        case unreadable(ZooKeeperError)
    }

    /// Whether a content is known to be the newest.
    public enum Freshness: Sendable, Hashable {
        /// The znode is watched, on a connection that stands, and nothing has happened to it since it was read.
        case live
        /// Not known to be the newest since this instant, at which the change or the loss of the connection was noticed.
        ///
        /// A silent network is noticed after two thirds of the session timeout at the latest.
        case stale(since: ContinuousClock.Instant)
    }

    /// A content and its freshness.
    public struct Entry: Sendable, Hashable {
        /// What is known.
        public var content: Content
        /// Whether it is known to be the newest.
        public var freshness: Freshness

        /// Makes an entry, for tests.
        public init(content: Content, freshness: Freshness) {
            self.content = content
            self.freshness = freshness
        }

        /// The data, when the znode stands.
        public var data: [UInt8]? { if case .present(let data, _) = content { data } else { nil } }
        /// The stat, when the znode stands.
        public var stat: ZNodeStat? { if case .present(_, let stat) = content { stat } else { nil } }
        /// Whether the content is known to be the newest.
        public var isLive: Bool { freshness == .live }
    }

    /// The znode.
    public let path: String

    let follower: SubtreeFollower<Entry>

    /// Makes a cache; it knows nothing before it runs.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(_ path: String, client: ZooKeeperClient, logger: Logger = .current) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        follower = SubtreeFollower(.node(path), client: client, logger: logger) { Entry($0) }
    }

    /// What is known now; from memory.
    public var current: Entry { follower.current }

    /// The current entry first, then each that differs from the one before.
    ///
    /// A slow reader skips to the newest. That a content is being read again is not told; that it has become stale with a
    /// lost connection, and live again, is. The sequence ends when the cache has stopped.
    public var changes: AsyncStream<Entry> { follower.entries.follow(.bufferingNewest(1)) }

    /// Follows the znode until it is cancelled or shut down gracefully; takes its watch away from the server then.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` when the client stops first, `.invalidArgument`
    ///   when it was run before.
    public func run() async throws {
        try await follower.run()
    }
}

/// Runs a cache for as long as an operation takes.
///
/// - Parameters:
///   - path: The znode to follow. It need not stand.
///   - client: A client that runs.
///   - logger: Where the cache tells why it cannot read.
///   - operation: Uses the cache, whose content is unknown at first; when it returns or throws, the cache is stopped.
/// - Returns: What `operation` returned.
/// - Throws: `ZooKeeperError` with code `.invalidPath`, or the error of `operation`.
public func withNodeCache<Result: Sendable>(
    _ path: String,
    client: ZooKeeperClient,
    logger: Logger = .current,
    operation: (NodeCache) async throws -> Result
) async throws -> Result {
    let cache = try NodeCache(path, client: client, logger: logger)
    // A client that stops ends the cache's sequence; the operation is what counts.
    return try await withInnerService(cache, operation: operation)
}

extension NodeCache.Entry {
    /// What is known of the root alone.
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
    /// One znode alone.
    static func node(_ path: String) -> Self {
        Self(
            root: path, depth: 0, showsRoot: true, readsData: true, watchBudget: .max, pathOverhead: 0,
            readsInFlight: 1, interval: .zero, isIncluded: { _ in false }, isRootVital: false)
    }
}
