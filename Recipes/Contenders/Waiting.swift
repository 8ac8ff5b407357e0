internal import ZooKeeper

extension OneShot {
    /// Waits for the value, also in a task that is cancelled.
    func valueUncancelled() async -> Value {
        await withCheckedContinuation { continuation in
            observe { continuation.resume(returning: $0) }
        }
    }
}

extension ZooKeeperClient {
    /// Waits for the answer to a request that has been made: not without a connection, and not longer than a time.
    ///
    /// The caller's cancellation does not end it. A connection that is lost meanwhile answers the request.
    func waitWhileConnected(for answer: OneShot<Void>, atMost patience: Duration) async {
        guard answer.value == nil, isConnected else { return }
        let end = OneShot<Void>()
        answer.observe { end.set(()) }
        let timer = Task {
            try await clock.sleep(until: clock.now + patience)
            end.set(())
        }
        await end.valueUncancelled()
        timer.cancel()
    }

    /// The same for work that goes on over several connections: the loss of the present one ends the wait.
    func waitWhileConnected(forWork done: OneShot<Void>, atMost patience: Duration) async {
        let end = OneShot<Void>()
        done.observe { end.set(()) }
        let watcher = Task {
            for await state in states where !state.isConnected { return end.set(()) }
            return false
        }
        await waitWhileConnected(for: end, atMost: patience)
        watcher.cancel()
    }
}
