public import ZooKeeper

/// Ownership that is valid for a limited time, such as a lock or a term of leadership.
public protocol Grant: Sendable {
    /// Whether the grant is guaranteed to be valid at this moment.
    ///
    /// It becomes false before any server can give the resource to another participant.
    ///
    /// - Complexity: One clock read and a comparison; no request is sent.
    var isValid: Bool { get }

    /// The time until which the grant is guaranteed to be valid, as last observed.
    ///
    /// `nil` if it is no longer valid.
    var validUntil: ContinuousClock.Instant? { get }

    /// The fencing token to pass to the store; it increases with each grant of the same resource.
    var fencingToken: FencingToken { get }

    /// Waits until the grant is lost; a grant that was released is not lost.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: No request is sent.
    func waitUntilLost() async throws -> LossReason

    /// Executes operations as one transaction that succeeds only while the grant is valid.
    ///
    /// The transaction starts with a check of the participant's znode. If another participant may have taken over, the
    /// ensemble refuses the whole transaction.
    ///
    /// - Parameter operations: The operations, as for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in the same order.
    /// - Throws: ``RecipeError`` with code `.lost`, in which case nothing was executed; the `ZooKeeperError` of the
    ///   operation that failed, numbered as in `operations`, in which case nothing was executed; `ZooKeeperError` with
    ///   `isOutcomeUnknown` if the answer was lost; `CancellationError`, in which case the transaction may have been
    ///   executed.
    /// - Complexity: 1 request.
    func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult]
}

extension Grant {
    /// The time for which the grant is guaranteed to be valid if the ensemble sends no further answer.
    ///
    /// Zero if the grant is not valid.
    public var timeLeft: Duration { validUntil.map { max(.zero, $0 - .now) } ?? .zero }
}

/// The znodes that a grant depends on, all of one session; the grant is lost with the first of them.
///
/// Every grant is based on one: a lock has one znode, a semaphore one for each lease, a window the signal and a write
/// znode.
package struct Holding: Sendable {
    package let nodes: [HeldNode]

    /// Creates a holding.
    ///
    /// - Parameter nodes: The znodes, at least one.
    package init(_ nodes: [HeldNode]) {
        self.nodes = nodes
    }

    package var session: SessionHandle { nodes[0].session }
    package var paths: [String] { nodes.map(\.path) }

    /// Whether the grant is guaranteed to be valid at this moment.
    package var isValid: Bool { nodes.allSatisfy(\.isValid) }

    /// The time until which the grant is guaranteed to be valid; in the past once it is lost.
    package var validUntil: MonotonicInstant { nodes.map(\.validUntil).min() ?? .distantPast }

    /// Returns ``validUntil`` for the public API; `nil` if it is in the past.
    func validUntil(by clock: any MonotonicClock) -> ContinuousClock.Instant? {
        let deadline = validUntil
        return deadline > clock.now ? clock.continuousInstant(deadline) : nil
    }

    /// The reason for the loss; `nil` if the grant is not lost.
    package var lossReason: LossReason? { nodes.lazy.compactMap(\.lossReason).first ?? session.endReason }

    /// Calls a closure at the loss of each znode, on the thread that notices it; the closure must not block.
    package func onLoss(_ observer: @escaping @Sendable (LossReason) -> Void) {
        for node in nodes { node.onLoss(observer) }
    }

    /// Ends the supervision of each znode, like ``HeldNode/release(after:)``.
    package func release(after deletion: OneShot<Void>? = nil) {
        for node in nodes { node.release(after: deletion) }
    }

    /// Executes operations as one transaction that succeeds only while the znodes exist, in the session that owns them.
    ///
    /// - Parameter operations: The operations; at least one.
    /// - Returns: One result for each operation; `nil` if a znode or the session is gone, in which case nothing was
    ///   executed.
    /// - Throws: `ZooKeeperError` of an operation, numbered as in `operations`; `CancellationError`.
    /// - Complexity: 1 request.
    package func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult]? {
        guard !operations.isEmpty else {
            throw ZooKeeperError(.invalidArgument, message: "a transaction has at least one operation")
        }
        do {
            let checks = paths.map { TransactionOperation.check($0) }
            guard case .multi(let results) = try await session.send(.multi(checks + operations)) else { return nil }
            return Array(results.dropFirst(checks.count))
        } catch var error as ZooKeeperError {
            // A request that had been sent when the session ended may have been executed.
            if error.code == .sessionExpired, !error.isOutcomeUnknown { return nil }
            guard let failed = error.failedOperation else { throw error }
            if failed < paths.count, error.code == .noNode { return nil }
            error.failedOperation = failed < paths.count ? nil : failed - paths.count
            throw error
        }
    }
}
