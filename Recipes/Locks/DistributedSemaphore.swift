public import ZooKeeper

/// A counting semaphore that limits how many leases processes hold at the same time.
///
/// ```swift
/// let semaphore = try DistributedSemaphore(client: client, path: "/limits/exports", limit: 3, id: "web 2")
/// try await semaphore.withLease { lease in
///     try await exportReport()
/// }
/// ```
///
/// Each holder has one or several leases. All holders together never have more leases than the limit.
///
/// Waiting participants acquire leases in first-in, first-out order. A participant that waits for several leases is not
/// overtaken by participants that need fewer. Leases are held and lost in the same way as locks; see ``Lease``. An
/// acquisition of several leases gets all of them or none. If one of them is lost, all are lost.
///
/// The limit is stored in the ensemble, in `PATH-limit`, and applies to all processes. The limit passed to the
/// initializer is written only if none is stored yet. Without one, another process must have set the limit.
/// ``setLimit(_:)`` changes the limit for all processes, and waiting participants are notified immediately. Lowering the
/// limit revokes no lease; new leases are granted once enough have been released. No lease is granted on the basis of an
/// outdated limit.
///
/// The znode layout is that of Apache Curator's `InterProcessSemaphoreV2`: `PATH/locks/_c_<uuid>-lock-…` for each
/// participant that is acquiring or waiting, and `PATH/leases/_c_<uuid>-lease-…` for each lease. `PATH-limit` has the
/// format of Curator's `SharedCount`. A JVM process joins with
/// `new InterProcessSemaphoreV2(client, PATH, new SharedCount(client, PATH + "-limit", n))`.
public final class DistributedSemaphore: Sendable {
    /// The path below which the directories of leases and waiting participants are.
    public let path: String
    /// The limit that is written if none is stored yet; `nil` requires that one is stored.
    public let initialLimit: Int?
    /// The participant's ID, which other processes see in ``queue()``.
    public let id: String
    /// The application data in the znodes of leases, for other processes to read.
    public let data: [UInt8]

    let client: ZooKeeperClient

    /// Creates a semaphore without sending a request.
    ///
    /// - Parameters:
    ///   - client: The client whose session holds the leases. It must be running; until it runs, all calls wait.
    ///   - path: The path of the semaphore, which must not be the root. The znode and its parents are created as
    ///     needed.
    ///   - limit: The number of leases, at least 0. If the ensemble already stores a limit, that one applies. `nil` writes
    ///     no limit: acquisitions fail with `.notFound` until one is stored. Default: `nil`.
    ///   - id: The participant's ID, shown to operators and other processes. Default: empty.
    ///   - data: Application data for other processes to read. Default: empty.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument`.
    public init(
        client: ZooKeeperClient, path: String, limit: Int? = nil, id: String = "", data: [UInt8] = []
    ) throws {
        _ = try ZNodePath(path)
        guard path != "/", (0...Int(Int32.max)).contains(limit ?? 0) else {
            throw RecipeError(
                .invalidArgument, in: .lock, path: path,
                message: "the path must not be the root, and the limit must be from 0 to 2^31-1")
        }
        self.client = client
        self.path = path
        self.initialLimit = limit
        self.id = id
        self.data = data
    }

    var lockData: LockData { LockData(participantID: id, data: data) }
    var leasesPath: String { path + "/leases" }
    var locksPath: String { path + "/locks" }
    var limitPath: String { path + "-limit" }

    /// Runs a body while holding leases.
    ///
    /// - Parameters:
    ///   - count: The number of leases to acquire, all of them or none; from 1 to 1000. Default: 1.
    ///   - timeout: The timeout for acquiring the leases. It covers every step until the leases are acquired,
    ///     including the wait for a connection. `nil` waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    ///   - body: The operation. It runs as a child task, which is cancelled if a lease is lost or the calling task is
    ///     cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: The error of the body; ``RecipeError`` with code `.lost`, `.timedOut`, `.unreadable`,
    ///   `.invalidArgument`, `.queueNumbersExhausted` or, if no limit is stored or given, `.notFound`; `ZooKeeperError`
    ///   with code `.noAuth` or `.clientStopped`; `CancellationError`. No lease is held afterwards.
    /// - Complexity: If no participant is ahead and leases are free, 7 requests to acquire one lease: 6 in 4 round
    ///   trips, and 1 in the background. Each further lease takes 1 more request in the same round trips. Releasing
    ///   takes 1 request.
    public func withLease<Result: Sendable>(
        count: Int = 1, timeout: Duration? = nil, onQueued: OnQueued? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await LockBody.run(
            body, holding: Lease(try await place(count, AcquisitionTimeout(atMost: timeout), onQueued)))
    }

    /// Runs a body while holding leases, if they are free and no participant waits.
    ///
    /// - Parameters:
    ///   - count: The number of leases to acquire, all of them or none; from 1 to 1000. Default: 1.
    ///   - body: The operation. It runs as a child task, which is cancelled if a lease is lost or the calling task is
    ///     cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if too few leases are free or another participant is ahead,
    ///   even one that is ahead only while it acquires a lease; `.timedOut` if the ensemble does not answer within the
    ///   client's retry timeout; otherwise the errors of ``withLease(count:timeout:onQueued:_:)``.
    /// - Complexity: 2 requests in 1 round trip if too few leases are free; no znode is created then. Otherwise 3 more
    ///   requests in 2 more round trips than ``withLease(count:timeout:onQueued:_:)``.
    public func tryWithLease<Result: Sendable>(
        count: Int = 1, _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await LockBody.run(body, holding: Lease(try await place(count, .none, nil)))
    }

    /// Acquires leases.
    ///
    /// - Parameters:
    ///   - count: The number of leases to acquire, all of them or none; from 1 to 1000. If it exceeds the limit, the
    ///     call waits until the limit is raised. Default: 1.
    ///   - timeout: The timeout. It covers every step until the leases are acquired, including the wait for a
    ///     connection. `nil` waits without limit.
    ///   - onQueued: A closure to call each time the participant waits in the queue; see ``OnQueued``. Default: `nil`.
    /// - Returns: One handle for all leases. Any task may release it.
    /// - Throws: The errors of ``withLease(count:timeout:onQueued:_:)`` except those of the body. No lease is held
    ///   afterwards.
    /// - Complexity: If no participant is ahead and leases are free, 7 requests for one lease: 6 in 4 round trips, and
    ///   1 in the background. Each further lease takes 1 more request in the same round trips.
    public func acquire(
        count: Int = 1, timeout: Duration? = nil, onQueued: OnQueued? = nil
    ) async throws -> Lease {
        try await lease(count, AcquisitionTimeout(atMost: timeout), onQueued)
    }

    /// Acquires leases if they are free and no participant waits.
    ///
    /// - Parameter count: The number of leases to acquire, all of them or none; from 1 to 1000. Default: 1.
    /// - Returns: One handle for all leases. Any task may release it.
    /// - Throws: The errors of ``tryWithLease(count:_:)`` except those of the body. No lease is held afterwards.
    /// - Complexity: 2 requests in 1 round trip if too few leases are free; no znode is created then. Otherwise 3 more
    ///   requests in 2 more round trips than ``acquire(count:timeout:onQueued:)``.
    public func tryAcquire(count: Int = 1) async throws -> Lease {
        try await lease(count, .none, nil)
    }

    private func lease(_ count: Int, _ timeout: AcquisitionTimeout, _ onQueued: OnQueued?) async throws -> Lease {
        try await Lease(try await place(count, timeout, onQueued)).unlessCancelled()
    }

    /// Returns the number of leases that can be held at the same time.
    ///
    /// - Returns: The limit stored in the ensemble; ``initialLimit`` if no process has used the semaphore yet.
    /// - Throws: ``RecipeError`` with code `.unreadable`, or `.notFound` if no limit is stored and ``initialLimit`` is
    ///   `nil`; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 1 request.
    public func limit() async throws -> Int {
        do {
            return try readLimit(try await client.recipeSteps { try await client.data(at: limitPath).data })
        } catch let error as ZooKeeperError where error.code == .noNode {
            if let initialLimit { return initialLimit }
            throw RecipeError(
                .notFound, in: .lock, path: limitPath,
                message: "no limit has been set; call setLimit(_:) or pass limit:")
        }
    }

    /// Changes the limit for all processes.
    ///
    /// Waiting participants are notified immediately. No holder loses a lease.
    ///
    /// - Parameter limit: The new limit, from 0, which grants no lease, to 2³¹-1.
    /// - Throws: ``RecipeError`` with code `.invalidArgument`; `ZooKeeperError` with code `.noAuth`, or with an unknown
    ///   outcome, in which case the call can be repeated; `CancellationError`.
    /// - Complexity: 1 request; a few more if no process has used the semaphore yet.
    public func setLimit(_ limit: Int) async throws {
        guard (0...Int(Int32.max)).contains(limit) else {
            throw RecipeError(
                .invalidArgument, in: .lock, path: path, message: "limit is \(limit); it must be from 0 to 2^31-1")
        }
        while true {
            do {
                let data = SemaphoreRoom.bytes(limit: limit)
                try await client.recipeSteps { _ = try await client.setData(data, at: limitPath) }
                return
            } catch let error as ZooKeeperError where error.code == .noNode {
                if try await createLimit(limit) { return }
            }
        }
    }

    /// Lists the holders of leases, followed by the waiting participants in queue order.
    ///
    /// The first waiting participant may be about to acquire its leases. The connected server answers from its own
    /// state, one read after another. The list may miss participants that join or leave during the call.
    ///
    /// - Returns: One entry for each lease, and one for each waiting participant.
    /// - Throws: `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 2 requests for the lists and 1 for each entry, at most 64 entries in a round trip.
    public func queue() async throws -> [LockQueueEntry] {
        let leases = try await LockQueueEntry.listLeases(leasesPath, client: client)
        let waiters = try await LockQueueEntry.list(locksPath, client: client)
        return leases
            + waiters.map { entry in
                var entry = entry
                entry.isHolder = false
                entry.position += leases.count
                return entry
            }
    }

    func readLimit(_ bytes: [UInt8]) throws(RecipeError) -> Int {
        guard let limit = SemaphoreRoom.limit(bytes) else {
            throw RecipeError(
                .unreadable, in: .lock, path: limitPath,
                message: "the limit must be stored in 4 bytes; the znode has \(bytes.count)")
        }
        return limit
    }

    /// Writes the initial limit if none is stored.
    ///
    /// - Throws: ``RecipeError`` with code `.notFound` if none is stored or given.
    func createInitialLimit() async throws {
        if let initialLimit { _ = try await createLimit(initialLimit) } else { _ = try await limit() }
    }

    /// Writes a limit if none is stored.
    ///
    /// - Returns: Whether this call has certainly written it.
    private func createLimit(_ limit: Int) async throws -> Bool {
        do {
            let data = SemaphoreRoom.bytes(limit: limit)
            try await client.recipeSteps {
                _ = try await client.create(limitPath, data: data, mode: .persistent, parents: true)
            }
            return true
        } catch let error as ZooKeeperError where error.code == .nodeExists || error.isOutcomeUnknown {
            return false
        }
    }
}
