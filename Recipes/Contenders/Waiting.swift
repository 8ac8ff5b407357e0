internal import ZooKeeper

/// Runs an operation to its end; an event that happens before that cancels it.
///
/// - Parameter event: Returns when it has happened, and throws if it is cancelled.
/// - Returns: The outcome of the operation, whether or not it was cancelled.
func outcome<Value: Sendable>(
    of operation: @escaping @Sendable () async throws -> Value,
    cancelledBy event: @escaping @Sendable () async throws -> Void
) async -> Result<Value, any Error> {
    let outcome = OneShot<Result<Value, any Error>>()
    await race(
        { do { outcome.set(.success(try await operation())) } catch { outcome.set(.failure(error)) } },
        { try? await event() })
    return outcome.value ?? .failure(CancellationError())
}

extension OneShot {
    /// Waits for the value, ignoring the cancellation of the task.
    func valueIgnoringCancellation() async -> Value {
        await withCheckedContinuation { continuation in
            observe { continuation.resume(returning: $0) }
        }
    }
}

extension ZooKeeperClient {
    /// Waits for the answer to a request that was sent, but only while connected, and not beyond a timeout.
    ///
    /// The cancellation of the caller does not end the wait. If the connection is lost, the request is answered with an
    /// error.
    func waitWhileConnected(for answer: OneShot<Void>, atMost timeout: Duration) async {
        guard answer.value == nil, isConnected else { return }
        let end = OneShot<Void>()
        answer.observe { end.set(()) }
        let timer = clock.schedule(at: clock.now + timeout) { end.set(()) }
        await end.valueIgnoringCancellation()
        timer.cancel()
    }

    /// Waits for work that continues across connections, but only on the current connection, and not beyond a timeout.
    func waitWhileConnected(forWork done: OneShot<Void>, atMost timeout: Duration) async {
        let end = OneShot<Void>()
        done.observe { end.set(()) }
        let watcher = Task {
            for await state in states where !state.isConnected { return end.set(()) }
            return false
        }
        await waitWhileConnected(for: end, atMost: timeout)
        watcher.cancel()
    }
}

extension ZooKeeperClient {
    /// Waits until a znode does not exist.
    package func awaitDeletion(of path: String) async throws {
        while true {
            let (stat, watch) = try await watchExistence(at: path, share: nil)
            guard stat != nil else { return watch.cancel() }
            _ = try await watch.event()
        }
    }
}
