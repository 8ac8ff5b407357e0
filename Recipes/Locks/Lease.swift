internal import Logging
internal import Synchronization
public import ZooKeeper

/// What a lock's body is given, or who acquires a lock: how long it holds, and by which right.
///
/// In a body it is worth something while the body runs. As a handle, from ``DistributedMutex/acquire(waitingAtMost:)``, it
/// holds until ``release()``; a handle that is forgotten gives the lock up when the last reference to it goes, and that is
/// logged. Kept longer, it tells what became of the lock.
public final class Lease: Sendable {
    private enum Stage: UInt8, AtomicRepresentable { case held, ended, endedInvalid }

    let place: LockPlace
    private let stage = Atomic(Stage.held)

    init(_ place: LockPlace) {
        self.place = place
    }

    deinit {
        guard stage.load(ordering: .acquiring) == .held else { return }
        place.client.logger.warning(
            "A lock was not released by who acquired it: it is released now, because nothing refers to it any more",
            metadata: ["zookeeper.path": "\(place.key.path)"])
        place.beginToLeave()
    }

    /// The lock's path.
    public var path: String { place.key.path }

    /// Whether the lock is surely held at this moment.
    ///
    /// Also right in the first instruction after the process was stopped for a while, and when the own server is cut off
    /// from the others, as long as clocks run at the same rate within the client's validity margin.
    /// - Complexity: One clock read and a comparison; nothing is sent.
    public var isValid: Bool { stage.load(ordering: .acquiring) == .held && place.isValid }

    /// Until when the lock is surely held, as far as is known now; moves on while the session is proved.
    ///
    /// `nil` when it is not held any more.
    public var validUntil: ContinuousClock.Instant? {
        stage.load(ordering: .acquiring) == .held ? place.holding.validUntil(by: place.client.clock) : nil
    }

    /// How long the lock is surely held from now on if nothing more is heard of the ensemble; zero when it is not held.
    public var timeLeft: Duration {
        isValid ? max(.zero, place.validUntil - place.client.clock.now) : .zero
    }

    /// The number to hand to what is written to under the lock: it grows with each grant that excludes an earlier one.
    ///
    /// Read locks that are held together may have the same one. A downgrade keeps it. A semaphore's leases are ordered by
    /// it, but several are held at once: a store cannot refuse any but its own holder's older ones by it.
    public var fencingToken: FencingToken { place.token }

    /// Waits until the lock is lost.
    ///
    /// A lock that is given up in order is not lost: then this waits for ever, or until the task is cancelled.
    /// - Throws: `CancellationError` when the task is cancelled.
    public var lost: LossReason {
        get async throws { try await place.loss.wait() }
    }

    /// Where the lock stands: the current state first, then every change; ends when nothing can change any more.
    ///
    /// Tells of a loss before it happens, with ``LeaseState/isAtRisk``: at once when the connection is lost, and otherwise
    /// a sixth of the session timeout before the deadline.
    public var states: AsyncStream<LeaseState> {
        place.report.follow { [weak place] in place.flatMap { $0.isInUse ? $0.validUntil : nil } }
    }

    /// Where the lock stands now.
    public var state: LeaseState { place.report.current(validUntil: place.validUntil) }

    /// Ends this handle.
    ///
    /// - Returns: Whether it had not ended before.
    func finish() -> Bool {
        let last: Stage = place.isValid ? .ended : .endedInvalid
        return stage.compareExchange(expected: .held, desired: last, ordering: .acquiringAndReleasing).exchanged
    }

    /// The error of what needs the lock: it was lost, or this handle was released.
    var notHeldError: RecipeError {
        stage.load(ordering: .acquiring) == .ended ? place.releasedError : place.lostError
    }

    /// Whether it holds, or held until it was given up.
    var hasHeldOn: Bool {
        let stage = stage.load(ordering: .acquiring)
        return stage == .ended || (stage == .held && place.isValid)
    }
}

// MARK: Handles

extension Lease {
    /// Gives the lock up.
    ///
    /// The own znode is deleted; when the ensemble does not answer, that is repeated until it has happened or the session
    /// has ended, whatever becomes of the calling task. Called again, it changes nothing and tells how things stand. In a
    /// body the lock may be given up before the body's end.
    ///
    /// - Returns: What became of the znode: with the first answer; at once without a connection; and after two seconds when
    ///   the server is silent.
    /// - Complexity: One request.
    @discardableResult
    public func release() async -> ReleaseOutcome {
        if finish() { return await place.leave() }
        return place.isInUse ? .stillShared : place.report.outcome
    }

    /// Another handle to the same lock: it is given up when all handles are released.
    ///
    /// That is how the lock is taken again by who has it: by handle, whichever task or thread asks.
    ///
    /// - Throws: ``RecipeError`` with code `.lost` if the lock was lost, or `.released` if this handle was released.
    /// - Complexity: Nothing is sent.
    public func share() throws(RecipeError) -> Lease {
        guard stage.load(ordering: .acquiring) == .held, place.enter() else { throw notHeldError }
        return Lease(place)
    }

    /// Runs a body under the same lock.
    ///
    /// - Parameter body: Runs as a child task; cancelled when the lock is lost or the calling task is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: ``RecipeError`` with code `.lost`, or `.released` if this handle was released; the body's error;
    ///   `CancellationError`.
    /// - Complexity: Nothing is sent.
    public func withLock<Result: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await LockBody.run(body, holding: try share())
    }
}
