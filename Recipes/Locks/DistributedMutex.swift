public import ZooKeeper

/// A mutex that excludes processes on different hosts.
///
/// ```swift
/// let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "billing 2")
/// try await mutex.withLock { lease in
///     try store.write(invoice, token: lease.fencingToken)
/// }
/// ```
///
/// Waiting participants acquire the lock in first-in, first-out order. While the connection is lost, the holder keeps
/// the lock until its deadline, and a waiting participant keeps its position in the queue as long as its session lives.
///
/// The body of ``withLock(timeout:onQueued:_:)`` runs as a child task. The lock is lost if its znode is deleted, the session expires, or
/// the session cannot be confirmed before the deadline. In this case the body is cancelled and **awaited**, the lock is
/// released, and ``withLock(timeout:onQueued:_:)`` throws ``RecipeError`` with code `.lost`.
///
/// ``acquire(timeout:onQueued:)`` returns a handle instead, for locks that are not acquired and released in one function.
/// A handle cancels nothing when the lock is lost. ``Lease/states`` reports the risk of a loss and the loss.
///
/// The mutex is reentrant by handle, with ``Lease/withLock(_:)`` or ``Lease/share()``, not by task or thread. Calling
/// ``withLock(timeout:onQueued:_:)`` or ``acquire(timeout:onQueued:)`` inside a body of the same mutex would deadlock, and fails
/// immediately with `.alreadyHeld`.
///
/// The znode layout is that of Apache Curator's `InterProcessMutex`, so JVM processes can share the lock:
/// `PATH/_c_<uuid>-lock-0000000000`, ephemeral and sequential. If programs use Curator, nothing else may be created
/// below the path. This package ignores children with other names.
public final class DistributedMutex: Sendable {
    /// The path of the lock's directory.
    public let path: String
    /// The participant's ID, which other processes see in ``queue()``.
    public let id: String
    /// The application data in the lock's znode, for other processes to read; see ``LockQueueEntry/data``.
    public let data: [UInt8]

    let client: ZooKeeperClient
    let key: HeldLock.Key

    /// Creates a mutex without sending a request.
    ///
    /// - Parameters:
    ///   - client: The client whose session holds the lock. It must be running; until it runs, all calls wait.
    ///   - path: The path of the lock's directory. The directory and its parents are created as needed.
    ///   - id: The participant's ID, shown to operators and other processes. Default: empty.
    ///   - data: Application data for other processes to read. If both data and ID are given, the znode holds
    ///     `key=value` lines. Default: empty.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        client: ZooKeeperClient, path: String, id: String = "", data: [UInt8] = []
    ) throws(ZooKeeperError) {
        _ = try ZNodePath(path)
        self.client = client
        self.path = path
        self.id = id
        self.data = data
        key = HeldLock.Key(client, path)
    }

    var lockData: LockData { LockData(participantID: id, data: data) }

    /// Runs a body while holding the lock.
    ///
    /// - Parameters:
    ///   - timeout: The limit for acquiring the lock. It covers every step, including the wait for a connection. `nil`
    ///     waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    ///   - body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling task is
    ///     cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: The error of the body; ``RecipeError`` with code `.timedOut`, `.lost`, `.alreadyHeld` or
    ///   `.queueNumbersExhausted`; `ZooKeeperError` with code `.noAuth` or `.clientStopped`; `CancellationError`. The
    ///   lock is not held afterwards.
    /// - Complexity: If the queue is empty, 2 requests in 1 round trip to acquire the lock, and 1 request to release
    ///   it.
    public func withLock<Result: Sendable>(
        timeout: Duration? = nil, onQueued: OnQueued? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(AcquisitionTimeout(atMost: timeout), onQueued, body)
    }

    /// Runs a body while holding the lock, if no participant holds the lock or waits for it.
    ///
    /// - Parameter body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling
    ///   task is cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if another participant holds the lock or waits for it, or
    ///   `.timedOut` if the ensemble does not answer within the client's retry timeout; otherwise the errors of
    ///   ``withLock(timeout:onQueued:_:)``.
    /// - Complexity: 1 request if the queue is not empty; no znode is created then. Otherwise 3 requests in 2 round
    ///   trips to acquire the lock, and 1 request to release it.
    public func tryWithLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.none, nil, body)
    }

    /// Acquires the lock.
    ///
    /// - Parameters:
    ///   - timeout: The limit. It covers every step until the lock is acquired, including the wait for a connection.
    ///     `nil` waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    /// - Returns: A handle to the lock. Any task may release it.
    /// - Throws: ``RecipeError`` with code `.timedOut`, `.alreadyHeld` or `.queueNumbersExhausted`; `ZooKeeperError`
    ///   with code `.noAuth` or `.clientStopped`; `CancellationError`. The lock is not held afterwards.
    /// - Complexity: 2 requests in 1 round trip if the queue is empty.
    public func acquire(timeout: Duration? = nil, onQueued: OnQueued? = nil) async throws -> Lease {
        try await lease(AcquisitionTimeout(atMost: timeout), onQueued)
    }

    /// Acquires the lock if no participant holds it or waits for it.
    ///
    /// - Returns: A handle to the lock. Any task may release it.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if another participant holds the lock or waits for it, or
    ///   `.timedOut` if the ensemble does not answer within the client's retry timeout; otherwise the errors of
    ///   ``acquire(timeout:onQueued:)``.
    /// - Complexity: 1 request if the queue is not empty; no znode is created then. Otherwise 3 requests in 2 round
    ///   trips.
    public func tryAcquire() async throws -> Lease {
        try await lease(.none, nil)
    }

    /// Lists the holder and the waiting participants, in queue order.
    ///
    /// The connected server answers from its own state, one read after another. The list may miss participants that
    /// join or leave during the call.
    ///
    /// - Returns: One entry for each participant; empty if no participant has ever used the lock.
    /// - Throws: `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 1 request for the list and 1 for each entry, at most 64 entries in a round trip; up to three times
    ///   as many while participants leave.
    public func queue() async throws -> [LockQueueEntry] {
        try await LockQueueEntry.list(path, client: client)
    }
}
