internal import ZooKeeper

/// Several locks that are acquired and held together.
///
/// ```swift
/// let both = try MultiLock([.mutex(source), .write(target)])
/// try await both.withLock(timeout: .seconds(10)) { leases in
///     try await move(leases.paths[0], leases.paths[1])
/// }
/// ```
///
/// The locks are acquired one after another in the order of their paths, whatever order was given. Participants that
/// share locks therefore cannot deadlock. One timeout covers all acquisitions. A participant that does not acquire all
/// locks keeps none: the locks it already holds are released. If one lock is lost, all are lost, including while the
/// other locks are being acquired.
public final class MultiLock: Sendable {
    /// One of the locks.
    public struct Part: Sendable {
        let key: HeldLock.Key
        let client: ZooKeeperClient
        let place: @Sendable (MonotonicInstant?, _ waits: Bool) async throws -> HeldLock

        /// Returns a part that acquires a mutex.
        public static func mutex(_ mutex: DistributedMutex) -> Part {
            Part(key: mutex.key, client: mutex.client) { try await mutex.place($0, waits: $1) }
        }

        /// Returns a part that acquires the read lock of a read-write lock.
        public static func read(_ lock: DistributedReadWriteLock) -> Part {
            Part(key: lock.key, client: lock.client) { try await lock.place(.read, $0, waits: $1) }
        }

        /// Returns a part that acquires the write lock of a read-write lock.
        public static func write(_ lock: DistributedReadWriteLock) -> Part {
            Part(key: lock.key, client: lock.client) { try await lock.place(.write, $0, waits: $1) }
        }
    }

    /// The paths of the locks, in the order in which they are acquired.
    public let paths: [String]

    private let parts: [Part]
    private let client: ZooKeeperClient

    /// Creates a multi-lock without sending a request.
    ///
    /// - Parameter parts: The locks, at least one, in any order. All must belong to one client and have different
    ///   paths.
    /// - Throws: ``RecipeError`` with code `.invalidArgument`.
    public init(_ parts: [Part]) throws(RecipeError) {
        guard let client = parts.first?.client, parts.allSatisfy({ $0.client === client }) else {
            throw RecipeError(
                .invalidArgument, in: .lock, path: parts.first?.key.path ?? "",
                message: "parts must contain at least one lock, and all locks must use the same client")
        }
        let sorted = parts.sorted { ZNodeName($0.key.path) < ZNodeName($1.key.path) }
        for (part, next) in zip(sorted, sorted.dropFirst()) where part.key == next.key {
            throw RecipeError(
                .invalidArgument, in: .lock, path: part.key.path,
                message: "parts contains this lock twice, and it would wait for itself; pass it once")
        }
        self.parts = sorted
        self.client = client
        paths = sorted.map(\.key.path)
    }

    /// Runs a body while holding all locks.
    ///
    /// - Parameters:
    ///   - timeout: The timeout for acquiring all locks, including every step until the last one is acquired. `nil`
    ///     waits without limit.
    ///   - body: The operation. It runs as a child task, which is cancelled if a lock is lost or the calling task is
    ///     cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: The error of the body; the ``RecipeError`` of the lock that could not be acquired or was lost, with
    ///   its path; `ZooKeeperError`; `CancellationError`. No lock is held afterwards.
    /// - Complexity: The sum of the costs of the locks, which are acquired one after another. They are released
    ///   concurrently.
    public func withLock<Result: Sendable>(
        timeout: Duration? = nil, _ body: @escaping @Sendable (MultiLease) async throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        return try await LockBody.run(body, holding: try await lease(AcquisitionTimeout(atMost: timeout)))
    }

    /// Runs a body while holding all locks, if all can be acquired without waiting for another participant.
    ///
    /// - Parameter body: The operation. It runs as a child task, which is cancelled if a lock is lost or the calling
    ///   task is cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: ``RecipeError`` with code `.notAvailable` and the path of the first lock that cannot be acquired;
    ///   otherwise the errors of ``withLock(timeout:_:)``.
    /// - Complexity: The sum of the costs of the locks, which are acquired one after another. They are released
    ///   concurrently.
    public func tryWithLock<Result: Sendable>(
        _ body: @escaping @Sendable (MultiLease) async throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        return try await LockBody.run(body, holding: try await lease(.none))
    }

    /// Acquires all locks.
    ///
    /// - Parameter timeout: The timeout for acquiring all locks. `nil` waits without limit.
    /// - Returns: One handle for all locks. Any task may release it.
    /// - Throws: The errors of ``withLock(timeout:_:)`` except those of the body. No lock is held afterwards.
    /// - Complexity: The sum of the costs of the locks, which are acquired one after another.
    public func acquire(timeout: Duration? = nil) async throws -> MultiLease {
        try await handle(AcquisitionTimeout(atMost: timeout))
    }

    /// Acquires all locks, if all can be acquired without waiting for another participant.
    ///
    /// - Returns: One handle for all locks. Any task may release it.
    /// - Throws: The errors of ``tryWithLock(_:)`` except those of the body. No lock is held afterwards.
    /// - Complexity: The sum of the costs of the locks, which are acquired one after another.
    public func tryAcquire() async throws -> MultiLease {
        try await handle(.none)
    }

    private func handle(_ timeout: AcquisitionTimeout) async throws -> MultiLease {
        try await lease(timeout).unlessCancelled()
    }

    private func lease(_ timeout: AcquisitionTimeout) async throws -> MultiLease {
        let deadline = timeout.deadline(client)
        var leases: [Lease] = []
        do {
            for part in parts {
                leases.append(try await acquire(part, deadline, waits: timeout.waits, holding: leases))
            }
            if let lost = leases.first(where: { !$0.isValid }) { throw lost.lostError }
            return MultiLease(leases)
        } catch {
            await MultiLease.release(leases)
            throw error
        }
    }

    /// Acquires one more lock, and stops if a lock that is already held is lost.
    private func acquire(
        _ part: Part, _ deadline: MonotonicInstant?, waits: Bool, holding leases: [Lease]
    ) async throws -> Lease {
        if leases.isEmpty { return Lease(try await part.place(deadline, waits)) }
        return try await withThrowingTaskGroup(of: Swift.Result<Lease, any Error>?.self) { group in
            group.addTask {
                do { return .success(Lease(try await part.place(deadline, waits))) } catch { return .failure(error) }
            }
            for lease in leases {
                group.addTask { (try? await lease.waitUntilLost()) == nil ? nil : .failure(lease.lostError) }
            }
            var lost: (any Error)?
            for try await step in group {
                switch step {
                case .success(let lease)?:
                    group.cancelAll()
                    guard let lost else { return lease }
                    await lease.release()
                    throw lost
                case .failure(let error as RecipeError)? where error.code == .lost && lost == nil:
                    lost = error
                    group.cancelAll()
                case .failure(let error)?:
                    group.cancelAll()
                    throw lost ?? error
                case nil: continue
                }
            }
            throw lost ?? CancellationError()
        }
    }
}
