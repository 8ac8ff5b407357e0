public import ZooKeeper

/// A lock across processes that many readers or one writer can hold at a time.
///
/// ```swift
/// let lock = try DistributedReadWriteLock(client: client, path: "/locks/catalogue", id: "importer 3")
/// try await lock.withWriteLock { lease in
///     try await store.replaceAll(with: items, token: lease.fencingToken)
/// }
/// ```
///
/// Participants acquire the lock in first-in, first-out order: a reader does not overtake a waiting writer. While the
/// connection is lost, a holder keeps the lock until its deadline, and a waiting participant keeps its position in the
/// queue as long as its session lives.
///
/// The body runs as a child task. The lock is lost if its znode is deleted, the session expires, or the session cannot
/// be confirmed before the deadline. In this case the body is cancelled and **awaited**, the lock is released, and
/// ``RecipeError`` with code `.lost` is thrown. A body that does not react to cancellation delays this. A store that
/// checks the ``Lease/fencingToken`` refuses the late writes of such a body.
///
/// The lock is reentrant within a body, for the same task and its child tasks. A read or write lock inside the write
/// lock, and a read lock inside the read lock, are granted immediately as parts of the outer lock. A write lock inside
/// a read lock fails with `.upgradeNotAllowed`. ``Lease/downgrade()`` turns a write lock into a read lock.
///
/// Readers of one client share a znode: a reader joins the read lock that its client already holds, unless a writer
/// waits.
///
/// The znode layout is that of Apache Curator's `InterProcessReadWriteLock`, so JVM processes can share the lock:
/// `PATH/_c_<uuid>-__READ__0000000000` and `…__WRIT__…`, ephemeral and sequential, with the participant's ID as data.
/// If programs use Curator, nothing else may be created below the path. This package ignores other children.
public final class DistributedReadWriteLock: Sendable {
    /// The path of the lock's directory.
    public let path: String
    /// The participant's ID, which other processes see in ``queue()``.
    public let id: String
    /// The application data in the lock's znode, for other processes to read; see ``LockQueueEntry/data``.
    public let data: [UInt8]

    let client: ZooKeeperClient
    let key: HeldLock.Key

    /// Creates a lock without sending a request.
    ///
    /// - Parameters:
    ///   - client: The client whose session holds the lock. It must be running; until it runs, all calls wait.
    ///   - path: The path of the lock's directory. The directory and its parents are created as needed.
    ///   - id: The participant's ID, shown to operators and other processes. Default: empty.
    ///   - data: Application data for other processes to read. Default: empty.
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

    /// Runs a body while holding a read lock.
    ///
    /// - Parameters:
    ///   - timeout: The limit for acquiring the lock. It covers every step, including the wait for a connection. `nil`
    ///     waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    ///   - body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling task is
    ///     cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: The error of the body; ``RecipeError`` with code `.timedOut`, `.lost` or `.queueNumbersExhausted`;
    ///   `ZooKeeperError` with code `.noAuth` or `.clientStopped`; `CancellationError`. The lock is not held
    ///   afterwards.
    /// - Complexity: If no writer is ahead, 2 requests in 1 round trip to acquire the lock, and 1 request to release
    ///   it. If the client already holds a read lock that it can share, 1 request.
    public func withReadLock<Result: Sendable>(
        timeout: Duration? = nil, onQueued: OnQueued? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.read, AcquisitionTimeout(atMost: timeout), onQueued, body)
    }

    /// Runs a body while holding a read lock, if no writer holds the lock or waits for it.
    ///
    /// - Parameter body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling
    ///   task is cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if a writer holds the lock or waits for it, or `.timedOut`
    ///   if the ensemble does not answer within the client's retry timeout; otherwise the errors of
    ///   ``withReadLock(timeout:onQueued:_:)``.
    /// - Complexity: 1 request if there is a writer; no znode is created then. Otherwise 3 requests in 2 round trips to
    ///   acquire the lock, and 1 request to release it. If the client already holds a read lock that it can share, 1
    ///   request.
    public func tryWithReadLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.read, .none, nil, body)
    }

    /// Acquires a read lock.
    ///
    /// A handle belongs to no task: inside the body of a lock that this client holds, it is a part of that lock;
    /// anywhere else it waits like any other participant.
    ///
    /// - Parameters:
    ///   - timeout: The limit. It covers every step until the lock is acquired, including the wait for a connection.
    ///     `nil` waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    /// - Returns: A handle to the lock. Any task may release it.
    /// - Throws: ``RecipeError`` with code `.timedOut` or `.queueNumbersExhausted`; `ZooKeeperError`
    ///   with code `.noAuth` or `.clientStopped`; `CancellationError`. The lock is not held afterwards.
    /// - Complexity: 2 requests in 1 round trip if no writer is ahead.
    ///   If the client already holds a read lock that it can share, 1 request.
    public func acquireReadLock(timeout: Duration? = nil, onQueued: OnQueued? = nil) async throws -> Lease {
        try await lease(.read, AcquisitionTimeout(atMost: timeout), onQueued)
    }

    /// Acquires a read lock if no writer holds the lock or waits for it.
    ///
    /// - Returns: A handle to the lock. Any task may release it.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if a writer holds the lock or waits for it, or `.timedOut`
    ///   if the ensemble does not answer within the client's retry timeout; otherwise the errors of
    ///   ``acquireReadLock(timeout:onQueued:)``.
    /// - Complexity: 1 request if the lock is not available; no znode is created then. Otherwise 3 requests in 2 round trips.
    ///   If the client already holds a read lock that it can share, 1 request.
    public func tryAcquireReadLock() async throws -> Lease {
        try await lease(.read, .none, nil)
    }

    /// Runs a body while holding the write lock.
    ///
    /// - Parameters:
    ///   - timeout: The limit for acquiring the lock. It covers every step, including the wait for a connection. `nil`
    ///     waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    ///   - body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling task is
    ///     cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: The error of the body; ``RecipeError`` with code `.timedOut`, `.lost`, `.upgradeNotAllowed` or
    ///   `.queueNumbersExhausted`; `ZooKeeperError` with code `.noAuth` or `.clientStopped`; `CancellationError`. The
    ///   lock is not held afterwards.
    /// - Complexity: If the queue is empty, 2 requests in 1 round trip to acquire the lock, and 1 request to release
    ///   it.
    public func withWriteLock<Result: Sendable>(
        timeout: Duration? = nil, onQueued: OnQueued? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.write, AcquisitionTimeout(atMost: timeout), onQueued, body)
    }

    /// Runs a body while holding the write lock, if no participant holds the lock or waits for it.
    ///
    /// - Parameter body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling
    ///   task is cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if another participant holds the lock or waits for it, or
    ///   `.timedOut` if the ensemble does not answer within the client's retry timeout; otherwise the errors of
    ///   ``withWriteLock(timeout:onQueued:_:)``.
    /// - Complexity: 1 request if the queue is not empty; no znode is created then. Otherwise 3 requests in 2 round
    ///   trips to acquire the lock, and 1 request to release it.
    public func tryWithWriteLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await hold(.write, .none, nil, body)
    }

    /// Acquires the write lock.
    ///
    /// A handle belongs to no task: inside the body of a lock that this client holds, it is a part of that lock;
    /// anywhere else it waits like any other participant. A write lock that is requested while this client holds only a
    /// read handle waits until that handle is released.
    ///
    /// - Parameters:
    ///   - timeout: The limit. It covers every step until the lock is acquired, including the wait for a connection.
    ///     `nil` waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    /// - Returns: A handle to the lock. Any task may release it.
    /// - Throws: ``RecipeError`` with code `.timedOut`, `.upgradeNotAllowed` or `.queueNumbersExhausted`;
    ///   `ZooKeeperError` with code `.noAuth` or `.clientStopped`; `CancellationError`. The lock is not held
    ///   afterwards.
    /// - Complexity: 2 requests in 1 round trip if the queue is empty.
    public func acquireWriteLock(timeout: Duration? = nil, onQueued: OnQueued? = nil) async throws -> Lease {
        try await lease(.write, AcquisitionTimeout(atMost: timeout), onQueued)
    }

    /// Acquires the write lock if no participant holds the lock or waits for it.
    ///
    /// - Returns: A handle to the lock. Any task may release it.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if another participant holds the lock or waits for it, or `.timedOut`
    ///   if the ensemble does not answer within the client's retry timeout; otherwise the errors of
    ///   ``acquireWriteLock(timeout:onQueued:)``.
    /// - Complexity: 1 request if the lock is not available; no znode is created then. Otherwise 3 requests in 2 round trips.
    public func tryAcquireWriteLock() async throws -> Lease {
        try await lease(.write, .none, nil)
    }

    /// Lists the holders and the waiting participants, in queue order.
    ///
    /// The connected server answers from its own state, one read after another. The list may miss participants that
    /// join or leave during the call. Readers of one client share an entry.
    ///
    /// - Returns: One entry for each znode; empty if no participant has ever used the lock.
    /// - Throws: `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 1 request for the list and 1 for each entry, at most 64 entries in a round trip; up to three times
    ///   as many while participants leave.
    public func queue() async throws -> [LockQueueEntry] {
        try await LockQueueEntry.list(path, client: client)
    }
}
