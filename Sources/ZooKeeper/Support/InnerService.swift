package import ServiceLifecycle

/// Runs a service for the duration of an operation.
///
/// Only the end of the operation stops the service. The service runs in its own task, which neither a cancellation of
/// the calling task nor a graceful shutdown of a surrounding service group reaches. Its end is awaited.
///
/// - Parameters:
///   - service: A service that has not been run before.
///   - stop: Stops the service gracefully; by default its task is cancelled.
///   - reportsEnd: Returns whether an error of the operation only reports that the service has ended first. In this
///     case, the error of the service is thrown.
///   - operation: Uses the service.
/// - Returns: The result of `operation`.
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
