package import ServiceLifecycle

/// Runs a service for as long as an operation takes.
///
/// Only the end of the operation stops the service: it runs in a task of its own, which neither the cancellation of the
/// calling task nor a graceful shutdown of a surrounding service group reaches. Its end is awaited.
///
/// - Parameters:
///   - service: Has not been run before.
///   - stop: Has the service end in order; by default its task is cancelled.
///   - operation: Uses the service.
/// - Throws: The error of `operation`. The error of a service that ended first is dropped.
package func withInnerService<Inner: Service, Result>(
    _ service: Inner, stop: ((Inner) -> Void)? = nil, operation: (Inner) async throws -> Result
) async throws -> Result {
    let run = Task.detached(priority: Task.currentPriority) { try await service.run() }
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await operation(service)) } catch { result = .failure(error) }
    if let stop { stop(service) } else { run.cancel() }
    _ = await run.result
    return try result.get()
}
