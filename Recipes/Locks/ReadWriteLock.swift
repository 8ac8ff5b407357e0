public import ZooKeeper

/// A lock across processes that many readers or one writer hold.
///
/// ```swift
/// let lock = try ReadWriteLock(client: client, path: "/locks/catalogue", holderName: "importer 3")
/// try await lock.withWriteLock { lease in
///     try await store.replaceAll(with: items, token: lease.fencingToken)
/// }
/// ```
///
/// The order is first come, first served: a reader does not overtake a writer that waits. While the connection is lost a
/// holder stays a holder until its deadline, and a waiting contender keeps its place as long as its session lives.
///
/// The body runs as a child task. When the lock is lost (own znode deleted, session expired, or not proved in time) the
/// body is cancelled and **awaited**, then ``RecipeError`` with code `.lost` is thrown; only then is the place given up.
/// A body that does not react to cancellation delays that; what it writes to refuses it by the ``Lease/fencingToken``.
///
/// Within a body, the same task and its children may take the lock again: a read or write lock inside the write lock and
/// a read lock inside the read lock are granted at once, as parts of the outer one. A write lock inside a read lock fails
/// with `.upgradeNotAllowed`. ``Lease/downgrade()`` turns a write lock into a read lock.
///
/// Readers of one client share a znode: a reader joins the one that its client holds, unless a writer is queued.
///
/// The znodes are those of Apache Curator's `InterProcessReadWriteLock`, so that JVM processes can take part:
/// `PATH/_c_<uuid>-__READ__0000000000` and `…__WRIT__…`, ephemeral and sequential, with the holder's name as data. Nothing
/// else may be put below the path by programs that use Curator; here other children are ignored.
public final class ReadWriteLock: Sendable {
    /// The lock's directory.
    public let path: String
    /// What the own znodes hold, for people who look.
    public let holderName: String
    /// What belongs to the lock, for others to read; see ``LockQueueEntry/data``.
    public let data: [UInt8]

    let client: ZooKeeperClient
    let key: LockPlace.Key

    /// Makes a lock; nothing is sent.
    ///
    /// - Parameters:
    ///   - client: Whose session holds the lock; it must be running, else everything waits.
    ///   - path: The lock's directory; it and its parents are created as needed.
    ///   - holderName: Who holds it or waits, for people who look.
    ///   - data: What belongs to the lock, for others to read.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        client: ZooKeeperClient, path: String, holderName: String = "", data: [UInt8] = []
    ) throws(ZooKeeperError) {
        _ = try ZNodePath(path)
        self.client = client
        self.path = path
        self.holderName = holderName
        self.data = data
        key = LockPlace.Key(client, path)
    }

    var lockData: LockData { LockData(ownerName: holderName, data: data) }

    /// Runs a body while a read lock is held.
    ///
    /// - Parameter body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: The body's error; ``RecipeError`` with code `.lost` or `.queueNumbersExhausted`;
    ///   `ZooKeeperError`: `.noAuth`, `.clientStopped`; `CancellationError`. Nothing is held then.
    /// - Complexity: One flight of two requests when no writer is in front, and one request at the end; one listing when
    ///   the client holds a read lock already.
    public func withReadLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.read, .unlimited, body)
    }

    /// Runs a body while a read lock is held that is granted within a time.
    ///
    /// - Parameters:
    ///   - patience: Covers every step until the grant, also the wait for a connection.
    ///   - body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Throws: ``RecipeError`` with code `.timedOut`, else as ``withReadLock(_:)``.
    public func withReadLock<Result: Sendable>(
        waitingAtMost patience: Duration,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.read, .atMost(patience), body)
    }

    /// Runs a body while a read lock is held, if no writer holds the lock or waits for it.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` when there is a writer, `.timedOut` when the ensemble does not
    ///   answer within the client's time for a request; else as ``withReadLock(_:)``.
    /// - Complexity: One listing; nothing is created when there is a writer.
    public func tryWithReadLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.read, .none, body)
    }

    /// Runs a body while the write lock is held.
    ///
    /// - Parameter body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: The body's error; ``RecipeError`` with code `.lost`, `.upgradeNotAllowed` or `.queueNumbersExhausted`;
    ///   `ZooKeeperError`: `.noAuth`, `.clientStopped`; `CancellationError`. Nothing is held then.
    /// - Complexity: One flight of two requests when nobody is in front, and one request at the end.
    public func withWriteLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.write, .unlimited, body)
    }

    /// Runs a body while the write lock is held, when it is granted within a time.
    ///
    /// - Parameters:
    ///   - patience: Covers every step until the grant, also the wait for a connection.
    ///   - body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Throws: ``RecipeError`` with code `.timedOut`, else as ``withWriteLock(_:)``.
    public func withWriteLock<Result: Sendable>(
        waitingAtMost patience: Duration,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.write, .atMost(patience), body)
    }

    /// Runs a body while the write lock is held, if nobody holds the lock or waits for it.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` when somebody does, `.timedOut` when the ensemble does not answer
    ///   within the client's time for a request; else as ``withWriteLock(_:)``.
    /// - Complexity: One listing; nothing is created when somebody is there.
    public func tryWithWriteLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.write, .none, body)
    }

    /// Who holds the lock and who waits for it, in the order of the queue.
    ///
    /// As the connected server knows it, one read after the other: who comes or goes meanwhile may be missing. Readers
    /// of one client share an entry.
    /// - Throws: `ZooKeeperError`; `CancellationError`. A lock that nobody has ever taken has an empty queue.
    /// - Complexity: One listing, and one request for each entry.
    public func queue() async throws -> [LockQueueEntry] {
        try await LockQueueEntry.list(path, client: client)
    }
}
