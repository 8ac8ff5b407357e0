internal import Logging
internal import Synchronization
public import ZooKeeper

/// A handle to a lock that was acquired: it reports how long the lock is valid, and releases it.
///
/// The lease passed to a body is valid while the body runs. A lease returned by
/// ``DistributedMutex/acquire(timeout:onQueued:)`` is held until ``release()`` is called. If such a lease is deallocated
/// without having been released, the lock is released and a warning is logged. After the release, a lease still reports
/// the state of the lock.
public final class Lease: Sendable {
    private enum Stage: UInt8, AtomicRepresentable { case held, ended, endedInvalid }

    let place: HeldLock
    private let stage = Atomic(Stage.held)

    init(_ place: HeldLock) {
        self.place = place
    }

    deinit {
        guard stage.load(ordering: .acquiring) == .held else { return }
        place.client.logger.warning(
            "A lease was deallocated without having been released; the lock is released now",
            metadata: ["zookeeper.path": "\(place.key.path)"])
        place.beginToLeave()
    }

    /// The path of the lock.
    public var path: String { place.key.path }

    /// The paths of the znodes that hold the lock: several for several leases of a semaphore, otherwise one.
    ///
    /// ``downgrade()`` changes the path. Compare the paths with ``LockQueueEntry/path`` of the lock's queue.
    public var znodePaths: [String] { place.holding.paths }

    /// Whether the lock is guaranteed to be held at this moment.
    ///
    /// The answer is also correct in the first instruction after the process was suspended, and when the connected
    /// server is partitioned from the rest of the ensemble. The guarantee requires that the rates of the clocks differ
    /// by no more than the client's validity margin.
    ///
    /// - Complexity: One clock read and a comparison; no request is sent.
    public var isValid: Bool { stage.load(ordering: .acquiring) == .held && place.isValid }

    /// The time until which the lock is guaranteed to be held, as last observed; `nil` if it is no longer held.
    ///
    /// It moves forward each time the session is confirmed.
    public var validUntil: ContinuousClock.Instant? {
        stage.load(ordering: .acquiring) == .held ? place.holding.validUntil(by: place.client.clock) : nil
    }

    /// The fencing token to pass to the store that is written to under the lock.
    ///
    /// It is greater than the tokens of all earlier grants that this grant excludes. Read locks that are held at the
    /// same time may have the same token. A downgrade keeps the token. The leases of a semaphore are ordered by their
    /// tokens, but several are held at the same time. With these tokens a store can refuse only the older writes of the
    /// same holder.
    public var fencingToken: FencingToken { place.token }

    /// Waits until the lock is lost.
    ///
    /// A released lock is not lost: in this case the call waits until the task is cancelled.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: No request is sent.
    public func waitUntilLost() async throws -> LossReason {
        try await place.loss.wait()
    }

    /// The states of the lock: the current state first, then every change.
    ///
    /// The sequence ends when the state can no longer change. It reports the risk of a loss in advance, with
    /// ``LeaseState/isAtRisk``: immediately if the connection is lost, otherwise one sixth of the session timeout
    /// before the deadline.
    public var states: AsyncStream<LeaseState> {
        place.report.follow { [weak place] in place.flatMap { $0.isInUse ? $0.validUntil : nil } }
    }

    /// The current state of the lock.
    public var state: LeaseState { place.report.current(validUntil: place.validUntil) }

    /// Ends this handle.
    ///
    /// - Returns: Whether this call ended it; `false` if it had ended before.
    func finish() -> Bool {
        let last: Stage = place.isValid ? .ended : .endedInvalid
        return stage.compareExchange(expected: .held, desired: last, ordering: .acquiringAndReleasing).exchanged
    }

    /// The error for an operation that needs the lock: it was lost, or this handle was released.
    var notHeldError: RecipeError {
        stage.load(ordering: .acquiring) == .ended ? place.releasedError : place.lostError
    }

    /// Whether the lock is still valid, or was valid when it was released.
    var hasHeldOn: Bool {
        let stage = stage.load(ordering: .acquiring)
        return stage == .ended || (stage == .held && place.isValid)
    }
}

// MARK: Handles

extension Lease {
    /// Releases the lock.
    ///
    /// The lock's znode is deleted. If the ensemble does not answer, the deletion is retried until it succeeds or the
    /// session has ended, even if the calling task is cancelled. Calling this method again changes nothing and reports
    /// the current outcome. A body may release its lock before it returns.
    ///
    /// - Returns: The outcome for the znode. The method returns on the first answer, immediately if there is no
    ///   connection, and after 2 s if the server does not answer.
    /// - Complexity: 1 request.
    @discardableResult
    public func release() async -> ReleaseOutcome {
        if finish() { return await place.leave() }
        return place.isInUse ? .stillShared : place.report.outcome
    }

    /// Returns another handle to the same lock; the lock is released once all handles are released.
    ///
    /// A holder reenters the lock in this way, by handle. Any task or thread may call it.
    ///
    /// - Returns: A new handle.
    /// - Throws: ``RecipeError`` with code `.lost` if the lock was lost, or `.released` if this handle was released.
    /// - Complexity: No request is sent.
    public func share() throws(RecipeError) -> Lease {
        guard stage.load(ordering: .acquiring) == .held, place.enter() else { throw notHeldError }
        return Lease(place)
    }

    /// Runs a body under the same lock.
    ///
    /// - Parameter body: The operation. It runs as a child task, which is cancelled if the lock is lost or the calling
    ///   task is cancelled.
    /// - Returns: The value that the body returned.
    /// - Throws: ``RecipeError`` with code `.lost`, or `.released` if this handle was released; the error of the body;
    ///   `CancellationError`.
    /// - Complexity: No request is sent, unless all other handles are released first: then 1 request releases the lock.
    public func withLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await LockBody.run(body, holding: try share())
    }
}
