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
    /// Waits for something that needs a connection: not longer than there is one, and not longer than a time.
    ///
    /// The caller's cancellation does not end it.
    func waitWhileConnected(for done: OneShot<Void>, atMost patience: Duration) async {
        guard done.value == nil, isConnected else { return }
        await Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await done.wait() }
                group.addTask { try? await self.clock.sleep(until: self.clock.now + patience) }
                group.addTask { for await state in self.states where !state.isConnected { return } }
                await group.next()
                group.cancelAll()
            }
        }.value
    }
}
