internal import ZooKeeper

extension DistributedSemaphore {
    /// Acquires leases and returns the held lock, which the caller must leave.
    func place(_ count: Int, _ timeout: AcquisitionTimeout, _ onQueued: OnQueued?) async throws -> HeldLock {
        guard (1...1000).contains(count) else {
            throw RecipeError(
                .invalidArgument, in: .lock, path: path, message: "count is \(count); it must be from 1 to 1000")
        }
        try Task.checkCancellation()
        let deadline = timeout.deadline(client)
        // Without any limit, nothing is created.
        if initialLimit == nil { _ = try await withDeadline(deadline) { try await self.limit() }.get() }
        if !timeout.waits { try await look(for: count, until: deadline) }
        var backoff = client.makeBackoff(.quick)
        while true {
            let contender = Contender(
                client: client, directory: locksPath, policy: .exclusive(.lock), kind: .semaphore, data: lockData.bytes,
                waits: timeout.waits)
            contender.onQueued(onQueued)
            let mutex: Contender.Grant
            do {
                mutex = try await contender.acquire(until: deadline)
            } catch var error as RecipeError {
                error.path = path
                throw error
            }
            let attempt = SemaphoreAttempt(
                self, count: count, mutex: mutex, waits: timeout.waits, onQueued: onQueued)
            let result = await withDeadline(deadline) { try await attempt.run() }
            switch result {
            case .success(let place?): return place
            case .success(nil):
                await attempt.giveUp(atMost: .milliseconds(150))
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            case .failure(let error):
                await attempt.giveUp(atMost: error is RecipeError ? .milliseconds(150) : .seconds(2))
                throw error
            }
        }
    }

    /// Checks whether leases are free before anything is created, so that a try that fails creates nothing.
    private func look(for count: Int, until deadline: MonotonicInstant?) async throws {
        let (leasesPath, limitPath, client) = (leasesPath, limitPath, client)
        let found = try await withDeadline(deadline) {
            let results = try await client.connectedSession()
                .sendAll(.children(path: leasesPath), .data(path: limitPath))
            return (
                results[0].part { reply throws(ZooKeeperError) in try reply.children.names },
                results[1].part { reply throws(ZooKeeperError) in try reply.data.data }
            )
        }.get()
        // If a read failed, for example because the znodes do not exist yet, the acquisition itself decides.
        guard case .success(let names) = found.0, case .success(let limit) = found.1 else { return }
        guard SemaphoreRoom(limit: try readLimit(limit), names: names).fits(count) else {
            throw RecipeError(.notAvailable, in: .lock, path: path)
        }
    }

    /// Runs an operation that reacts to cancellation, and cancels it at a deadline.
    ///
    /// - Parameters:
    ///   - deadline: The time at which the operation is cancelled; `nil` sets no limit.
    ///   - operation: The operation to run.
    /// - Returns: The result of the operation, even if it completes after the deadline. The failure is `.timedOut` if
    ///   the deadline cancelled the operation.
    private func withDeadline<Value: Sendable>(
        _ deadline: MonotonicInstant?, _ operation: @escaping @Sendable () async throws -> Value
    ) async -> Result<Value, any Error> {
        let result = await client.clock.outcome(of: operation, cancelledAt: deadline).result
        // Cancelled, and not by the caller.
        if case .failure(let error) = result, error is CancellationError, !Task.isCancelled {
            return .failure(RecipeError(.timedOut, in: .lock, path: path))
        }
        return result
    }
}
