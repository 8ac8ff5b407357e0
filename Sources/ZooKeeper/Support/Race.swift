internal import Synchronization

/// Runs operations concurrently until the first one ends, then cancels the others and waits for them.
///
/// - Returns: The result of the first operation that ended.
/// - Throws: The error of the first operation that ended; `CancellationError` if there are no operations.
package func race<Result: Sendable>(among operations: [@Sendable () async throws -> Result]) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        for operation in operations { group.addTask { try await operation() } }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw CancellationError() }
        return first
    }
}

/// Runs operations concurrently: see ``race(among:)``.
package func race<Result: Sendable>(_ operations: (@Sendable () async throws -> Result)...) async throws -> Result {
    try await race(among: operations)
}

/// Runs two operations that do not throw concurrently: see ``race(among:)``.
package func race<Result: Sendable>(
    _ one: @escaping @Sendable () async -> Result, _ other: @escaping @Sendable () async -> Result
) async -> Result {
    await withTaskGroup(of: Result.self) { group in
        group.addTask { await one() }
        group.addTask { await other() }
        defer { group.cancelAll() }
        guard let first = await group.next() else { preconditionFailure("a group with tasks has a next result") }
        return first
    }
}

/// Runs an operation until it ends or a signal fires, which cancels it.
///
/// - Returns: The result of the operation; `nil` if the signal fired first.
package func unless<Value: Sendable>(
    _ event: OneShot<Void>, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await race(
        { try await operation() },
        {
            try await event.wait()
            return nil
        })
}

extension MonotonicClock {
    /// Runs an operation until it ends or a deadline passes, which cancels it.
    ///
    /// - Returns: The result of the operation; `nil` if the deadline passed first.
    package func run<Value: Sendable>(
        until deadline: MonotonicInstant, _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        let (result, isLate) = await outcome(of: operation, cancelledAt: deadline)
        // The cancellation of the caller counts, even if the deadline has passed as well.
        return isLate && !Task.isCancelled ? nil : try result.get()
    }

    /// Runs an operation to its end; a deadline that passes before that cancels it.
    ///
    /// - Parameter deadline: The deadline; `nil` for none.
    /// - Returns: The outcome of the operation, and whether the deadline passed first.
    package func outcome<Value: Sendable>(
        of operation: @escaping @Sendable () async throws -> Value, cancelledAt deadline: MonotonicInstant?
    ) async -> (result: Result<Value, any Error>, isLate: Bool) {
        let (canceller, late) = (Canceller(), OneShot<Void>())
        let pass: @Sendable () -> Void = {
            late.set(())
            canceller.cancelInTask()
        }
        if let deadline, deadline <= now {
            late.set(())
            canceller.cancel()
        }
        let timer = deadline.map { schedule(at: $0, pass) }
        defer { timer?.cancel() }
        return (await canceller.outcome(of: operation), late.value != nil)
    }
}

extension ZooKeeperClient {
    /// Runs an operation that needs a connection until it ends, or until an event has happened and there is no
    /// connection.
    ///
    /// - Returns: The result of the operation; `nil` in the latter case.
    /// - Throws: The error of the operation.
    package func run<Value: Sendable>(
        untilDisconnectedAfter event: @escaping @Sendable () async throws -> Void,
        _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value? {
        try await race(
            { try await operation() },
            {
                try await event()
                for await state in self.states where !state.isConnected { break }
                return nil
            })
    }
}

/// Runs an operation together with a companion, which is cancelled and awaited when the operation ends.
package func alongside<Result: Sendable>(
    _ companion: @escaping @Sendable () async -> Void, _ operation: () async throws -> Result
) async throws -> Result {
    try await withThrowingDiscardingTaskGroup { group in
        group.addTask { await companion() }
        defer { group.cancelAll() }
        return try await operation()
    }
}

/// Cancels an operation from any thread, before it starts or while it runs.
package final class Canceller: Sendable {
    private struct State {
        /// The task of the operation while it runs.
        var task: RunningTask?
        var isCancelled = false
    }

    /// A task that runs an operation.
    ///
    /// `@unchecked Sendable` and `@safe`: a task may be cancelled from any thread, also after its end, and this copy
    /// keeps it in memory. Nothing else is done with it.
    @safe
    private struct RunningTask: @unchecked Sendable {
        let task: UnsafeCurrentTask

        init(_ task: UnsafeCurrentTask) { unsafe self.task = task }

        func cancel() { unsafe task.cancel() }
    }

    private let state = Mutex(State())

    package init() {}

    /// Cancels the operation.
    ///
    /// The cancellation handlers of the operation run on the calling thread.
    package func cancel() {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        task?.cancel()
    }

    /// Cancels the operation from a task, for threads that must not run the operation's cancellation handlers.
    package func cancelInTask() {
        Task { cancel() }
    }

    /// Runs the operation as a child task, which starts on the calling thread, and waits for its end.
    ///
    /// A change of threads would take longer than many operations.
    ///
    /// - Returns: The outcome of the operation, whether or not it was cancelled.
    package func outcome<Value: Sendable>(
        of operation: @escaping @Sendable () async throws -> Value
    ) async -> Result<Value, any Error> {
        await withTaskGroup(of: Result<Value, any Error>.self) { group in
            group.addImmediateTask { [self] in
                unsafe withUnsafeCurrentTask { task in
                    if let task = unsafe task { begin(unsafe RunningTask(task)) }
                }
                defer { end() }
                do { return .success(try await operation()) } catch { return .failure(error) }
            }
            guard let result = await group.next() else { preconditionFailure("a group with a task has a result") }
            return result
        }
    }

    private func begin(_ task: RunningTask) {
        let isCancelled = state.withLock { state in
            state.task = task
            return state.isCancelled
        }
        if isCancelled { task.cancel() }
    }

    private func end() {
        state.withLock { $0.task = nil }
    }
}
