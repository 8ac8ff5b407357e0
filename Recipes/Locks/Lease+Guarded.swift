public import ZooKeeper

extension Lease: Grant {
    /// Executes operations as one transaction that succeeds only while the lock is held.
    ///
    /// A check of the own znode goes in front, in the own session: when somebody else may have the lock, the ensemble
    /// refuses all of it, whatever this process believes.
    ///
    /// - Parameter operations: As for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in their order.
    /// - Throws: ``RecipeError`` with code `.lost` or `.released`, and nothing has happened; `ZooKeeperError` of an operation
    ///   that failed, numbered as they were given, and nothing has happened; `ZooKeeperError` whose outcome is unknown, when
    ///   the answer was lost; `CancellationError`, and it may have happened.
    /// - Complexity: One request.
    @discardableResult
    public func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard isValid, let results = try await place.holding.guarded(operations) else {
            throw notHeldError
        }
        return results
    }
}
