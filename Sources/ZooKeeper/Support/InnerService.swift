package import ServiceLifecycle

/// Runs a service for as long as an operation takes.
///
/// Only the end of the operation stops the service: it runs in a task of its own, which neither the cancellation of the
/// calling task nor a graceful shutdown of a surrounding service group reaches. Its end is awaited.
///
/// - Parameters:
///   - service: Has not been run before.
///   - stop: Has the service end in order; by default its task is cancelled.
///   - reportsEnd: Whether an error of the operation only says that the service has ended first: the service's own error
///     is thrown then.
///   - operation: Uses the service.
/// - Throws: The error of `operation`, or of the service.
package func withInnerService<Inner: Service, Result>(
    _ service: Inner, stop: ((Inner) -> Void)? = nil,
    reportsEnd: (any Error) -> Bool = { _ in false }, operation: (Inner) async throws -> Result
) async throws -> Result {
    let run = Task.detached(priority: Task.currentPriority) { try await service.run() }
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await operation(service)) } catch { result = .failure(error) }
    if let stop { stop(service) } else { run.cancel() }
    let end = await run.result
    if case .failure(let error) = result, reportsEnd(error) { try end.get() }
    return try result.get()
}
