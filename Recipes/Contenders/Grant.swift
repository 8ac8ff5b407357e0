public import ZooKeeper

/// Something that was won and holds for a while: a lock, a term of leadership.
public protocol Grant: Sendable {
    /// Whether it surely holds at this moment: one clock read and a comparison, nothing is sent.
    ///
    /// Turns false before any server can give it to somebody else.
    var isValid: Bool { get }

    /// Until when it surely holds, as far as is known now; `nil` when it does not hold any more.
    var validUntil: ContinuousClock.Instant? { get }

    /// The number to hand to what is written to: it grows with each grant of the same resource.
    var fencingToken: FencingToken { get }

    /// Waits until it is lost; what is given up in order is not lost.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    var lost: LossReason { get async throws }

    /// Executes operations as one transaction that succeeds only while this holds.
    ///
    /// A check of the own znode goes in front: when somebody else may have taken over, the ensemble refuses all of it.
    ///
    /// - Parameter operations: As for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in their order.
    /// - Throws: ``RecipeError`` with code `.lost`, and nothing has happened; `ZooKeeperError`
    ///   of an operation that failed, numbered as they were given, and nothing has happened; `ZooKeeperError` with
    ///   `isOutcomeUnknown` when the answer was lost; `CancellationError`.
    /// - Complexity: One request.
    func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult]
}

/// The own znodes that a grant depends on, all of one session: the grant is lost with the first of them.
///
/// Every grant is a view of one: a lock has one znode, a semaphore one for each lease, a window the signal and a write znode.
package struct Holding: Sendable {
    package let nodes: [HeldNode]

    /// - Parameter nodes: At least one.
    package init(_ nodes: [HeldNode]) {
        self.nodes = nodes
    }

    package var session: LiveSession { nodes[0].session }
    package var paths: [String] { nodes.map(\.path) }

    /// Whether the grant is certainly held at this moment.
    package var isValid: Bool { nodes.allSatisfy(\.isValid) }

    /// Until when it is certainly held; in the past once it is lost.
    package var validUntil: MonotonicInstant { nodes.map(\.validUntil).min() ?? .distantPast }

    /// The public form of ``validUntil``: `nil` if it is in the past.
    func validUntil(by clock: any MonotonicClock) -> ContinuousClock.Instant? {
        let deadline = validUntil
        return deadline > clock.now ? clock.continuousInstant(deadline) : nil
    }

    /// Why it was lost, once it is.
    package var lossReason: LossReason? { nodes.lazy.compactMap(\.lossReason).first ?? session.endReason }

    /// Calls a closure at the loss of each znode, on the thread that notices it: it must not block.
    package func onLoss(_ observer: @escaping @Sendable (LossReason) -> Void) {
        for node in nodes { node.onLoss(observer) }
    }

    /// Ends the supervision of each znode, as ``HeldNode/release(after:)`` does.
    package func release(after deletion: OneShot<Void>? = nil) {
        for node in nodes { node.release(after: deletion) }
    }

    /// Executes operations as one transaction that succeeds only while the znodes exist, in their own session.
    ///
    /// - Returns: One result for each operation; `nil` when a znode or the session is gone, and nothing has happened.
    /// - Throws: `ZooKeeperError` of an operation, numbered as they were given; `CancellationError`.
    package func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult]? {
        guard !operations.isEmpty else {
            throw ZooKeeperError(.invalidArgument, message: "a transaction has at least one operation")
        }
        do {
            let checks = paths.map { TransactionOperation.check($0) }
            guard case .multi(let results) = try await session.send(.multi(checks + operations)) else { return nil }
            return Array(results.dropFirst(checks.count))
        } catch var error as ZooKeeperError {
            // One that was on the wire when the session ended may have happened before.
            if error.code == .sessionExpired, !error.isOutcomeUnknown { return nil }
            guard let failed = error.failedOperation else { throw error }
            if failed < paths.count, error.code == .noNode { return nil }
            error.failedOperation = failed < paths.count ? nil : failed - paths.count
            throw error
        }
    }
}
