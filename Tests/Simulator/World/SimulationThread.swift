internal import SystemSupport

/// Runs simulated worlds on a thread of their own, with room for processes that stand still inside one another.
package func onSimulationThread<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await onOwnThread(stackSize: 16 << 20, body)
}
