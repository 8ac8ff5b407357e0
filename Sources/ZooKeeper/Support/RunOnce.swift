internal import ServiceLifecycle
internal import Synchronization

/// Runs the loop of a service, once and until its end.
///
/// The loop runs in its own task, which is not cancelled with the caller. Cancellation and graceful shutdown ask the
/// loop to stop, and its end is awaited.
package final class RunOnce: Sendable {
    private let begun = Atomic(false)

    package init() {}

    /// Whether the run has started.
    package var hasBegun: Bool { begun.load(ordering: .sequentiallyConsistent) }

    /// Starts the only run; returns `false` if it was started before.
    package func begin() -> Bool { !begun.exchange(true, ordering: .sequentiallyConsistent) }

    /// Runs a loop after ``begin()``.
    ///
    /// - Parameters:
    ///   - loop: Returns after a call of one of the other closures, or by itself.
    ///   - onCancel: Called when the calling task is cancelled.
    ///   - onGracefulShutdown: Called on graceful shutdown of the surrounding service group.
    /// - Returns: The result of the loop.
    package func run<Result: Sendable>(
        _ loop: @escaping @Sendable () async -> Result, onCancel: @escaping @Sendable () -> Void,
        onGracefulShutdown: @escaping @Sendable () -> Void
    ) async -> Result {
        let task = Task { await loop() }
        return await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await task.value
            } onCancel: {
                onCancel()
            }
        } onGracefulShutdown: {
            onGracefulShutdown()
        }
    }
}
