internal import ZooKeeper

extension DistributedMutex {
    func hold<Value: Sendable>(
        _ timeout: AcquisitionTimeout, _ onQueued: OnQueued?, _ body: @escaping @Sendable (Lease) async throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        let place = try await place(timeout.deadline(client), waits: timeout.waits, onQueued: onQueued)
        return try await LockBody.run(body, holding: Lease(place))
    }

    func lease(_ timeout: AcquisitionTimeout, _ onQueued: OnQueued?) async throws -> Lease {
        let place = try await place(timeout.deadline(client), waits: timeout.waits, onQueued: onQueued)
        return try await Lease(place).unlessCancelled()
    }

    /// Acquires the lock and returns the held lock, which the caller must leave.
    func place(_ deadline: MonotonicInstant?, waits: Bool, onQueued: OnQueued? = nil) async throws -> HeldLock {
        guard LockContext.place(key) == nil else {
            throw RecipeError(
                .alreadyHeld, in: .lock, path: path,
                message: "this task, or the task that started it, holds the mutex and would wait for itself; "
                    + "use Lease.withLock(_:) or Lease.share(), or a Task.detached that the body does not wait for")
        }
        let data = lockData.bytes
        let contender = Contender(
            client: client, directory: path, policy: .exclusive(.lock), data: data, waits: waits)
        contender.onQueued(onQueued)
        return HeldLock(try await contender.acquire(until: deadline), key: key, client: client, data: data)
    }
}
