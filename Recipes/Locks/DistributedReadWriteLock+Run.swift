internal import ZooKeeper

extension DistributedReadWriteLock {
    /// Acquires the lock, runs the body to completion, and releases the lock.
    func hold<Value: Sendable>(
        _ kind: ContenderName.Kind, _ timeout: AcquisitionTimeout, _ onQueued: OnQueued?,
        _ body: @escaping @Sendable (Lease) async throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        let place = try await place(kind, timeout.deadline(client), waits: timeout.waits, onQueued: onQueued)
        return try await LockBody.run(body, holding: Lease(place))
    }

    /// Acquires a handle.
    func lease(_ kind: ContenderName.Kind, _ timeout: AcquisitionTimeout, _ onQueued: OnQueued?) async throws -> Lease {
        try Task.checkCancellation()
        let place = try await place(kind, timeout.deadline(client), waits: timeout.waits, onQueued: onQueued)
        return try await Lease(place).unlessCancelled()
    }
}
