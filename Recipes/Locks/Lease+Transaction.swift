public import ZooKeeper

extension Lease: Grant {
    /// Executes operations as one transaction that succeeds only while the lock is held.
    ///
    /// The transaction starts with a check of the lock's znode and is sent in the session that owns it. If another
    /// participant may hold the lock, the ensemble refuses the whole transaction, whatever this process assumes.
    ///
    /// - Parameter operations: The operations, as for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in the same order.
    /// - Throws: ``RecipeError`` with code `.lost` or `.released`, in which case nothing was executed; the
    ///   `ZooKeeperError` of the operation that failed, numbered as in `operations`, in which case nothing was
    ///   executed; `ZooKeeperError` with an unknown outcome if the answer was lost; `CancellationError`, in which case
    ///   the transaction may have been executed.
    /// - Complexity: 1 request.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard isValid, let results = try await place.holding.transaction(operations) else {
            throw notHeldError
        }
        return results
    }
}
