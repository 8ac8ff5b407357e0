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

extension LiveSession {
    /// Executes operations as one transaction that succeeds only while own znodes stand, in this session.
    ///
    /// - Returns: One result for each operation; `nil` when a znode or the session is gone, and nothing has happened.
    /// - Throws: `ZooKeeperError` of an operation, numbered as they were given; `CancellationError`.
    package func guarded(
        by paths: [String], _ operations: [TransactionOperation]
    ) async throws -> [TransactionResult]? {
        guard !operations.isEmpty else {
            throw ZooKeeperError(.invalidArgument, message: "a transaction has at least one operation")
        }
        do {
            let checks = paths.map { TransactionOperation.check($0) }
            guard case .multi(let results) = try await send(.multi(checks + operations)) else { return nil }
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

extension HeldNode {
    /// Executes operations as one transaction that succeeds only while the own znode stands, in its own session.
    ///
    /// - Returns: One result for each operation; `nil` when the znode or its session is gone, and nothing has happened.
    /// - Throws: `ZooKeeperError` of an operation, numbered as they were given; `CancellationError`.
    package func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult]? {
        try await session.guarded(by: [path], operations)
    }
}
