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
        try await race(
            { try await operation() },
            {
                try await self.sleep(until: deadline)
                return nil
            })
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
