import Synchronization

/// A value behind a lock whose changes can be awaited, so that nobody has to poll it.
final class Observed<State: Sendable>: Sendable {
    private struct Storage {
        var state: State
        var waiters: [UInt64: Waiter] = [:]
        var nextWaiter: UInt64 = 0
    }

    /// Looks at the state and says whether its waiter has been resumed; with `nil` the waiter has given up.
    private typealias Waiter = @Sendable (inout State?) -> Bool

    private let storage: Mutex<Storage>

    init(_ state: State) {
        self.storage = Mutex(Storage(state: state))
    }

    /// The state now.
    var current: State {
        self.storage.withLock { $0.state }
    }

    /// Changes the state and resumes whoever waited for what it has become.
    @discardableResult
    func update<Result: Sendable>(_ change: @Sendable (inout State) -> Result) -> Result {
        self.storage.withLock { storage in
            let result = change(&storage.state)
            if storage.waiters.isEmpty { return result }
            for (id, waiter) in storage.waiters.sorted(by: { $0.key < $1.key }) {
                var state: State? = storage.state
                if waiter(&state) { storage.waiters[id] = nil }
                if let state { storage.state = state }
            }
            return result
        }
    }

    /// Waits until `take` gives something, and returns that.
    ///
    /// `take` may change the state: it is called under the lock, for one waiter after the other, the oldest first.
    ///
    /// - Throws: `CancellationError` when the calling task is cancelled.
    func first<Result: Sendable>(_ take: @escaping @Sendable (inout State) -> Result?) async throws -> Result {
        let id = self.storage.withLock { storage in
            storage.nextWaiter += 1
            return storage.nextWaiter
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                self.add(id, take: take, continuation: continuation)
            }
        } onCancel: {
            self.cancel(id)
        }
    }

    /// Waits until the state satisfies a condition; cancellation does not end the wait.
    func firstIgnoringCancellation<Result: Sendable>(
        _ take: @escaping @Sendable (inout State) -> Result?
    ) async -> Result {
        await withCheckedContinuation { continuation in
            self.storage.withLock { storage in
                if let result = take(&storage.state) { return continuation.resume(returning: result) }
                storage.nextWaiter += 1
                storage.waiters[storage.nextWaiter] = { state in
                    guard state != nil, let result = take(&state!) else { return false }
                    continuation.resume(returning: result)
                    return true
                }
            }
        }
    }

    private func add<Result: Sendable>(
        _ id: UInt64,
        take: @escaping @Sendable (inout State) -> Result?,
        continuation: CheckedContinuation<Result, any Error>
    ) {
        self.storage.withLock { storage in
            // A cancellation that came first has found nobody; the task remembers it.
            if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
            if let result = take(&storage.state) { return continuation.resume(returning: result) }
            storage.waiters[id] = { state in
                guard state != nil else {
                    continuation.resume(throwing: CancellationError())
                    return true
                }
                guard let result = take(&state!) else { return false }
                continuation.resume(returning: result)
                return true
            }
        }
    }

    private func cancel(_ id: UInt64) {
        self.storage.withLock { storage in
            guard let waiter = storage.waiters.removeValue(forKey: id) else { return }
            var gone: State?
            _ = waiter(&gone)
        }
    }
}
