public import ZooKeeper

/// A number of leases that processes share: each holder has one or several, and all together never more than the limit.
///
/// ```swift
/// let semaphore = try DistributedSemaphore(client: client, path: "/limits/exports", limit: 3, ownerName: "web 2")
/// try await semaphore.withLease { lease in
///     try await exportReport()
/// }
/// ```
///
/// Who waits is served in the order of coming: who wants several leases at once is not overtaken by those who want few.
/// Leases hold and are lost as locks are: see ``Lease``. Several leases of one grant are all granted or none, and the
/// loss of one is the loss of all.
///
/// The limit stands at the ensemble, in `PATH-limit`, and is the same for all. The one that is given here is written when
/// there is none yet. ``setLimit(_:)`` changes it for all: waiters learn at once. A limit that is lowered takes no lease
/// away; new ones are granted when enough have gone. No lease is granted by a limit that is not the present one.
///
/// The znodes are those of Apache Curator's `InterProcessSemaphoreV2`: `PATH/locks/_c_<uuid>-lock-…` for who is at it or
/// waits, `PATH/leases/_c_<uuid>-lease-…` for each lease. `PATH-limit` is what its `SharedCount` reads and writes: a JVM
/// process takes part with `new InterProcessSemaphoreV2(client, PATH, new SharedCount(client, PATH + "-limit", n))`.
public final class DistributedSemaphore: Sendable {
    /// Where the directories of leases and waiters stand.
    public let path: String
    /// The limit that is written when there is none yet.
    public let initialLimit: Int
    /// Who holds leases or waits for them, for people who look.
    public let ownerName: String
    /// What belongs to the leases, for others to read.
    public let data: [UInt8]

    let client: ZooKeeperClient

    /// Makes a semaphore; nothing is sent.
    ///
    /// - Parameters:
    ///   - client: Whose session holds the leases; it must be running, else everything waits.
    ///   - path: Where the semaphore stands; it and its parents are created as needed. Not the root.
    ///   - limit: How many leases there are, unless the ensemble has a limit already; at least 0.
    ///   - ownerName: Who holds or waits, for people who look.
    ///   - data: What belongs to the leases, for others to read.
    /// - Throws: `ZooKeeperError` with code `.invalidPath` or `.invalidArgument`.
    public init(
        client: ZooKeeperClient, path: String, limit: Int, ownerName: String = "", data: [UInt8] = []
    ) throws(ZooKeeperError) {
        _ = try ZNodePath(path)
        guard path != "/", (0...Int(Int32.max)).contains(limit) else {
            throw ZooKeeperError(
                .invalidArgument, path: path, message: "a semaphore has a path of its own and a limit from 0 to 2^31-1")
        }
        self.client = client
        self.path = path
        self.initialLimit = limit
        self.ownerName = ownerName
        self.data = data
    }

    var lockData: LockData { LockData(ownerName: ownerName, data: data) }
    var leasesPath: String { path + "/leases" }
    var locksPath: String { path + "/locks" }
    var limitPath: String { path + "-limit" }

    /// Runs a body while leases are held.
    ///
    /// - Parameters:
    ///   - count: How many leases to take, all of them or none; at least 1.
    ///   - patience: Covers every step until the grant, also the wait for a connection; `nil` waits without limit.
    ///   - body: Runs as a child task; cancelled when a lease is lost or the calling task is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: The body's error; ``RecipeError`` with code `.lost`, `.timedOut`, `.unreadable` or
    ///   `.queueNumbersExhausted`; `ZooKeeperError`: `.invalidArgument`, `.noAuth`, `.clientStopped`;
    ///   `CancellationError`. Nothing is held then.
    /// - Complexity: Seven requests, six of them in four flights, when nobody is in front and leases are free; one request
    ///   at the end.
    public func withLease<Result: Sendable>(
        count: Int = 1, waitingAtMost patience: Duration? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await LockBody.run(body, holding: Lease(try await place(count, Patience(atMost: patience))))
    }

    /// Runs a body while leases are held, if they are free and nobody waits.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` when they are not, or when somebody is in front, if only for the
    ///   moment that it takes to take a lease; `.timedOut` when the ensemble does not answer within the client's time for a
    ///   request; else as ``withLease(count:waitingAtMost:_:)``.
    /// - Complexity: Two requests in one flight; nothing is created when too few are free.
    public func tryWithLease<Result: Sendable>(
        count: Int = 1, _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await LockBody.run(body, holding: Lease(try await place(count, .none)))
    }

    /// Acquires leases.
    ///
    /// - Parameters:
    ///   - count: How many, all of them or none; at least 1. More than the limit are waited for until it is raised.
    ///   - patience: Covers every step until the grant, also the wait for a connection; `nil` waits without limit.
    /// - Returns: One handle for all of them, to be released by whichever task.
    /// - Throws: As ``withLease(count:waitingAtMost:_:)``; nothing is held then.
    /// - Complexity: Seven requests, six of them in four flights, when nobody is in front and leases are free.
    public func acquire(count: Int = 1, waitingAtMost patience: Duration? = nil) async throws -> Lease {
        try await lease(count, Patience(atMost: patience))
    }

    /// Acquires leases, if they are free and nobody waits.
    ///
    /// - Throws: As ``tryWithLease(count:_:)``; nothing is held then.
    /// - Complexity: Two requests in one flight; nothing is created when too few are free.
    public func tryAcquire(count: Int = 1) async throws -> Lease {
        try await lease(count, .none)
    }

    private func lease(_ count: Int, _ patience: Patience) async throws -> Lease {
        let lease = Lease(try await place(count, patience))
        guard !Task.isCancelled else {
            await lease.release()
            throw CancellationError()
        }
        return lease
    }

    /// How many leases there may be at a time.
    ///
    /// - Returns: What the ensemble says; ``initialLimit`` as long as nobody has used the semaphore.
    /// - Throws: ``RecipeError`` with code `.unreadable`; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: One request.
    public func limit() async throws -> Int {
        do {
            return try readLimit(try await client.recipeSteps { try await client.data(at: limitPath).data })
        } catch let error as ZooKeeperError where error.code == .noNode {
            return initialLimit
        }
    }

    /// Changes the limit, for all processes.
    ///
    /// Who waits learns at once. Nobody loses a lease by it.
    ///
    /// - Parameter limit: From 0, which grants nothing, to 2³¹-1.
    /// - Throws: `ZooKeeperError`: `.invalidArgument`, `.noAuth`, or with an unknown outcome: then set it again;
    ///   `CancellationError`.
    /// - Complexity: One request; a few more when nobody has used the semaphore.
    public func setLimit(_ limit: Int) async throws {
        guard (0...Int(Int32.max)).contains(limit) else {
            throw ZooKeeperError(.invalidArgument, path: path, message: "a limit is from 0 to 2^31-1")
        }
        while true {
            do {
                let data = SemaphoreRoom.bytes(limit: limit)
                try await client.recipeSteps { _ = try await client.setData(data, at: limitPath) }
                return
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await createLimit()
            }
        }
    }

    /// Who holds leases, and behind them who waits, in the order of coming.
    ///
    /// The first of those who wait may be about to take its leases. As the connected server knows it, one read after the
    /// other: who comes or goes meanwhile may be missing.
    /// - Returns: An entry for each lease, and one for each who waits.
    /// - Throws: `ZooKeeperError`; `CancellationError`.
    /// - Complexity: Two listings, and one request for each entry.
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
                .unreadable, in: .lock, path: limitPath, message: "\(bytes.count) bytes where four were expected")
        }
        return limit
    }

    /// Writes the initial limit, if there is none.
    func createLimit() async throws {
        do {
            let data = SemaphoreRoom.bytes(limit: initialLimit)
            try await client.recipeSteps {
                _ = try await client.create(limitPath, data: data, mode: .persistent, parents: true)
            }
        } catch let error as ZooKeeperError where error.code == .nodeExists || error.isOutcomeUnknown {
            return
        }
    }
}
