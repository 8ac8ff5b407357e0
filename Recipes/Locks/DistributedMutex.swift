public import ZooKeeper

/// A lock across processes that one holder has at a time.
///
/// ```swift
/// let mutex = try DistributedMutex(client: client, path: "/locks/invoices", ownerName: "billing 2")
/// try await mutex.withLock { lease in
///     try store.write(invoice, token: lease.fencingToken)
/// }
/// ```
///
/// Who waits is served in the order of coming. While the connection is lost the holder stays the holder until its deadline,
/// and who waits keeps the place as long as its session lives.
///
/// The body of ``withLock(_:)`` runs as a child task. When the lock is lost (own znode deleted, session expired, or not
/// proved in time) the body is cancelled and **awaited**, then ``RecipeError`` with code `.lost` is thrown; only then is the
/// place given up. ``acquire(waitingAtMost:)`` gives a handle instead, for locks that do not begin and end in one
/// function: nothing is cancelled for it, and ``Lease/states`` tells before and at the loss.
///
/// The lock is taken again by handle, with ``Lease/withLock(_:)`` or ``Lease/share()``, not by task or thread: a
/// ``withLock(_:)`` or ``acquire(waitingAtMost:)`` inside a body of the same mutex would wait for itself, and fails at
/// once with `.alreadyHeld`.
///
/// The znodes are those of Apache Curator's `InterProcessMutex`, so that JVM processes can take part:
/// `PATH/_c_<uuid>-lock-0000000000`, ephemeral and sequential. Nothing else may be put below the path by programs that use
/// Curator; here children of other names are ignored.
public final class DistributedMutex: Sendable {
    /// The lock's directory.
    public let path: String
    /// Who holds the lock or waits for it, for people who look.
    public let ownerName: String
    /// What belongs to the lock, for others to read; see ``LockQueueEntry/data``.
    public let data: [UInt8]

    let client: ZooKeeperClient
    let key: LockPlace.Key

    /// Makes a mutex; nothing is sent.
    ///
    /// - Parameters:
    ///   - client: Whose session holds the lock; it must be running, else everything waits.
    ///   - path: The lock's directory; it and its parents are created as needed.
    ///   - ownerName: Who holds it or waits, for people who look.
    ///   - data: What belongs to the lock, for others to read. With a name as well, the znode holds `key=value` lines.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        client: ZooKeeperClient, path: String, ownerName: String = "", data: [UInt8] = []
    ) throws(ZooKeeperError) {
        _ = try ZNodePath(path)
        self.client = client
        self.path = path
        self.ownerName = ownerName
        self.data = data
        key = LockPlace.Key(client, path)
    }

    var lockData: LockData { LockData(ownerName: ownerName, data: data) }

    /// Runs a body while the lock is held.
    ///
    /// - Parameter body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: The body's error; ``RecipeError`` with code `.lost`, `.alreadyHeld` or `.queueNumbersExhausted`;
    ///   `ZooKeeperError`: `.noAuth`, `.clientStopped`; `CancellationError`. Nothing is held then.
    /// - Complexity: One flight of two requests when nobody is in front, and one request at the end.
    public func withLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.unlimited, body)
    }

    /// Runs a body while the lock is held, when it is granted within a time.
    ///
    /// - Parameters:
    ///   - patience: Covers every step until the grant, also the wait for a connection.
    ///   - body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Throws: ``RecipeError`` with code `.timedOut`, else as ``withLock(_:)``.
    public func withLock<Result: Sendable>(
        waitingAtMost patience: Duration,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.atMost(patience), body)
    }

    /// Runs a body while the lock is held, if nobody holds it or waits for it.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` when somebody does, `.timedOut` when the ensemble does not answer
    ///   within the client's time for a request; else as ``withLock(_:)``.
    /// - Complexity: One listing; nothing is created when somebody is there.
    public func tryWithLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.none, body)
    }

    /// Acquires the lock.
    ///
    /// - Parameter patience: Covers every step until the grant, also the wait for a connection; `nil` waits without limit.
    /// - Returns: A handle, to be released by whichever task.
    /// - Throws: ``RecipeError`` with code `.timedOut`, `.alreadyHeld` or `.queueNumbersExhausted`; `ZooKeeperError`:
    ///   `.noAuth`, `.clientStopped`; `CancellationError`. Nothing is held then.
    /// - Complexity: One flight of two requests when nobody is in front.
    public func acquire(waitingAtMost patience: Duration? = nil) async throws -> Lease {
        try await lease(Patience(atMost: patience))
    }

    /// Acquires the lock, if nobody holds it or waits for it.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` when somebody does, `.timedOut` when the ensemble does not answer
    ///   within the client's time for a request; else as ``acquire(waitingAtMost:)``.
    /// - Complexity: One listing; nothing is created when somebody is there.
    public func tryAcquire() async throws -> Lease {
        try await lease(.none)
    }

    /// Who holds the lock and who waits for it, in the order of the queue.
    ///
    /// As the connected server knows it, one read after the other: who comes or goes meanwhile may be missing.
    /// - Throws: `ZooKeeperError`; `CancellationError`. A lock that nobody has ever taken has an empty queue.
    /// - Complexity: One listing, and one request for each entry.
    public func queue() async throws -> [LockQueueEntry] {
        try await LockQueueEntry.list(path, client: client)
    }
}
