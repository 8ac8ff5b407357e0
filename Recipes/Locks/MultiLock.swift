public import ZooKeeper

/// Several locks that are taken together and held together.
///
/// ```swift
/// let both = try MultiLock([.mutex(source), .write(target)])
/// try await both.withLock(waitingAtMost: .seconds(10)) { leases in
///     try await move(leases.paths[0], leases.paths[1])
/// }
/// ```
///
/// They are taken one after the other in the order of their paths, whatever the order given, so that two that share locks
/// do not wait for each other for ever. All of it has one deadline. What does not get all of them keeps none: those that
/// it had are given back. The loss of one is the loss of all, also while the others are waited for.
public final class MultiLock: Sendable {
    /// One of the locks.
    public struct Part: Sendable {
        let key: LockPlace.Key
        let client: ZooKeeperClient
        let place: @Sendable (MonotonicInstant?, _ waits: Bool) async throws -> LockPlace

        /// A mutex.
        public static func mutex(_ mutex: DistributedMutex) -> Part {
            Part(key: mutex.key, client: mutex.client) { try await mutex.place($0, waits: $1) }
        }

        /// A read-write lock, to read.
        public static func read(_ lock: ReadWriteLock) -> Part {
            Part(key: lock.key, client: lock.client) { try await lock.place(.read, $0, waits: $1) }
        }

        /// A read-write lock, to write.
        public static func write(_ lock: ReadWriteLock) -> Part {
            Part(key: lock.key, client: lock.client) { try await lock.place(.write, $0, waits: $1) }
        }
    }

    /// The locks' paths, in the order in which they are taken.
    public let paths: [String]

    private let parts: [Part]
    private let client: ZooKeeperClient

    /// Puts locks together; nothing is sent.
    ///
    /// - Parameter parts: At least one, in any order, all of one client and of different paths.
    /// - Throws: `ZooKeeperError` with code `.invalidArgument`.
    public init(_ parts: [Part]) throws(ZooKeeperError) {
        guard let client = parts.first?.client, parts.allSatisfy({ $0.client === client }) else {
            throw ZooKeeperError(.invalidArgument, message: "one or several locks of one client make a multi-lock")
        }
        let sorted = parts.sorted { ZNodeName($0.key.path) < ZNodeName($1.key.path) }
        for (part, next) in zip(sorted, sorted.dropFirst()) where part.key == next.key {
            throw ZooKeeperError(
                .invalidArgument, path: part.key.path, message: "a lock that is there twice would wait for itself")
        }
        self.parts = sorted
        self.client = client
        paths = sorted.map(\.key.path)
    }

    /// Runs a body while all locks are held.
    ///
    /// - Parameters:
    ///   - patience: Covers all locks together, every step until the last grant; `nil` waits without limit.
    ///   - body: Runs as a child task; cancelled when a lock is lost or the calling task is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: The body's error; ``RecipeError`` of the lock that could not be had or was lost, by its path;
    ///   `ZooKeeperError`; `CancellationError`. Nothing is held then.
    /// - Complexity: What the locks cost one after the other; they are given up together.
    public func withLock<Result: Sendable>(
        waitingAtMost patience: Duration? = nil, _ body: @escaping @Sendable (MultiLease) async throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        return try await LockBody.run(body, holding: try await lease(Patience(atMost: patience)))
    }

    /// Runs a body while all locks are held, if all can be had without waiting for anybody.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` and the path of the first that cannot; else as
    ///   ``withLock(waitingAtMost:_:)``.
    public func tryWithLock<Result: Sendable>(
        _ body: @escaping @Sendable (MultiLease) async throws -> Result
    ) async throws -> Result {
        try Task.checkCancellation()
        return try await LockBody.run(body, holding: try await lease(.none))
    }

    /// Acquires all locks.
    ///
    /// - Parameter patience: Covers all locks together; `nil` waits without limit.
    /// - Returns: One handle for all, to be released by whichever task.
    /// - Throws: As ``withLock(waitingAtMost:_:)``; nothing is held then.
    public func acquire(waitingAtMost patience: Duration? = nil) async throws -> MultiLease {
        try await handle(Patience(atMost: patience))
    }

    /// Acquires all locks, if all can be had without waiting for anybody.
    ///
    /// - Throws: As ``tryWithLock(_:)``; nothing is held then.
    public func tryAcquire() async throws -> MultiLease {
        try await handle(.none)
    }

    private func handle(_ patience: Patience) async throws -> MultiLease {
        let lease = try await lease(patience)
        guard !Task.isCancelled else {
            await lease.release()
            throw CancellationError()
        }
        return lease
    }

    private func lease(_ patience: Patience) async throws -> MultiLease {
        let deadline = patience.deadline(client)
        var leases: [Lease] = []
        do {
            for part in parts {
                leases.append(try await acquire(part, deadline, waits: patience.waits, holding: leases))
            }
            if let lost = leases.first(where: { !$0.isValid }) { throw lost.lostError }
            return MultiLease(leases)
        } catch {
            await MultiLease.release(leases)
            throw error
        }
    }

    /// Takes one more, and stops when one of those that are held is lost.
    private func acquire(
        _ part: Part, _ deadline: MonotonicInstant?, waits: Bool, holding leases: [Lease]
    ) async throws -> Lease {
        if leases.isEmpty { return Lease(try await part.place(deadline, waits)) }
        return try await withThrowingTaskGroup(of: Swift.Result<Lease, any Error>?.self) { group in
            group.addTask {
                do { return .success(Lease(try await part.place(deadline, waits))) } catch { return .failure(error) }
            }
            for lease in leases {
                group.addTask { (try? await lease.lost) == nil ? nil : .failure(lease.lostError) }
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
