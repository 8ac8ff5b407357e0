public import ZooKeeper

/// A permit to process one event, or a batch that takes no longer than the mode's event allowance.
///
/// A permit from ``EventGate/tryEnter()``, ``EventGate/enter(timeout:)`` or ``EventGate/enterBlocking(timeout:)`` must
/// be released with ``leave()`` exactly once, because a window waits for it. The closure forms of ``EventGate`` and
/// gated sequences release it themselves.
public struct EventPermit: Grant {
    /// The fencing token to pass to the stores that the event writes to.
    ///
    /// It increases from processors to a window to the processors after it.
    public let fencingToken: FencingToken
    private let stripe: EventStripe
    private let place: EventPlace

    @inline(__always)
    init(fencingToken: FencingToken, stripe: EventStripe, place: EventPlace) {
        self.fencingToken = fencingToken
        self.stripe = stripe
        self.place = place
    }

    /// The znode that the permit depends on; `nil` after the release.
    private var hold: HeldNode? { stripe.isInside(place) ? stripe.core.hold(for: fencingToken) : nil }

    /// Whether it is certain that no window is open while the event is processed.
    ///
    /// The value is read from memory. It turns false, even without a notification, before the ensemble can evict this
    /// processor, and after ``leave()``.
    ///
    /// - Complexity: A lock, one clock read and a comparison; no request is sent.
    public var isValid: Bool { hold?.isValid ?? false }

    /// The time until which it is certain that no window opens, as last observed.
    ///
    /// `nil` if the permit is no longer valid.
    public var validUntil: ContinuousClock.Instant? {
        hold.flatMap { Holding([$0]).validUntil(by: stripe.core.clock) }
    }

    /// Waits until the permit is lost; a permit that was released is not lost.
    ///
    /// - Returns: The reason.
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: No request is sent.
    public func waitUntilLost() async throws -> LossReason {
        guard let hold else { return try await OneShot<LossReason>().wait() }
        return try await hold.waitForLoss()
    }

    /// Executes operations as one transaction that succeeds only while no window can be open.
    ///
    /// The transaction starts with a check of the gate's znode. If the gate has paused for a window, the ensemble
    /// refuses the whole transaction.
    ///
    /// - Parameter operations: The operations, as for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in the same order.
    /// - Throws: ``RecipeError`` with code `.lost`, in which case nothing was executed; otherwise as
    ///   ``Grant/transaction(_:)``.
    /// - Complexity: 1 request.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        if let hold, let results = try await Holding([hold]).transaction(operations) { return results }
        throw RecipeError(.lost, in: .exclusiveMode, path: stripe.core.mode.path, lossReason: hold?.lossReason)
    }

    /// Releases the permit.
    ///
    /// If a permit is never released, no window opens. A second call for the same permit stops the process: the store
    /// would otherwise not be safe from events that are still inside.
    ///
    /// - Complexity: An atomic exchange and an atomic read; sends no request.
    @inline(__always)
    public func leave() {
        guard stripe.leave(place) else {
            // A mistake of the program: going on would let a window open beside an event. `preconditionFailure` prints
            // no message in release builds.
            fatalError("an EventPermit was released twice: leave() is called once, and not at all in closure forms")
        }
    }
}
