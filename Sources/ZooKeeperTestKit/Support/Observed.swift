import Synchronization

/// A value behind a lock whose changes can be awaited instead of polled.
final class Observed<State: Sendable>: Sendable {
    private struct Storage {
        var state: State
        var waiters: [UInt64: Waiter] = [:]
        var nextWaiter: UInt64 = 0
    }

    /// Returns how to resume a waiter for a state, or `nil` if it continues to wait; without a state, the waiter gives
    /// up.
    ///
    /// The waiter is resumed after the lock has been released. Resuming takes a lock of the waiting task. A thread that
    /// cancels the task holds that lock while it waits for this one.
    private typealias Waiter = @Sendable (inout State?) -> Resumption?
    private typealias Resumption = @Sendable () -> Void

    private let storage: Mutex<Storage>

    init(_ state: State) {
        self.storage = Mutex(Storage(state: state))
    }

    /// The current state.
    var current: State {
        self.storage.withLock { $0.state }
    }

    /// Changes the state, and resumes the waiters that waited for the new state.
    @discardableResult
    func update<Result: Sendable>(_ change: @Sendable (inout State) -> Result) -> Result {
        let (result, resumptions) = self.storage.withLock { storage in
            let result = change(&storage.state)
            var resumptions: [Resumption] = []
            for (id, waiter) in storage.waiters.sorted(by: { $0.key < $1.key }) {
                guard let resumption = Self.look(waiter, at: &storage.state) else { continue }
                storage.waiters[id] = nil
                resumptions.append(resumption)
            }
            return (result, resumptions)
        }
        for resume in resumptions { resume() }
        return result
    }

    private static func look(_ waiter: Waiter, at present: inout State) -> Resumption? {
        var state: State? = present
        let resumption = waiter(&state)
        if let state { present = state }
        return resumption
    }

    /// Waits until `take` returns a value, and returns that value.
    ///
    /// `take` may change the state. It is called under the lock, for one waiter after the other, the oldest first.
    ///
    /// - Throws: `CancellationError` if the calling task is cancelled.
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

    /// Waits until `take` returns a value; cancellation does not end the wait.
    func firstIgnoringCancellation<Result: Sendable>(
        _ take: @escaping @Sendable (inout State) -> Result?
    ) async -> Result {
        await withCheckedContinuation { continuation in
            self.add(nil) { state in
                guard state != nil, let result = take(&state!) else { return nil }
                return { continuation.resume(returning: result) }
            }
        }
    }

    private func add<Result: Sendable>(
        _ id: UInt64,
        take: @escaping @Sendable (inout State) -> Result?,
        continuation: CheckedContinuation<Result, any Error>
    ) {
        self.add(id) { state in
            guard state != nil else { return { continuation.resume(throwing: CancellationError()) } }
            guard let result = take(&state!) else { return nil }
            return { continuation.resume(returning: result) }
        }
    }

    /// Adds a waiter, or resumes it if it does not have to wait.
    ///
    /// - Parameter id: The number of a waiter that reacts to cancellation, or `nil`.
    private func add(_ id: UInt64?, _ waiter: @escaping Waiter) {
        let resumption: Resumption? = self.storage.withLock { storage in
            // An earlier cancellation has found no waiter, so the task is checked here.
            if id != nil, Task.isCancelled {
                var gone: State?
                return waiter(&gone)
            }
            if let resumption = Self.look(waiter, at: &storage.state) { return resumption }
            storage.nextWaiter += 1
            storage.waiters[id ?? storage.nextWaiter] = waiter
            return nil
        }
        resumption?()
    }

    private func cancel(_ id: UInt64) {
        let waiter = self.storage.withLock { $0.waiters.removeValue(forKey: id) }
        var gone: State?
        waiter?(&gone)?()
    }
}
