import Glibc

/// Runs `body` on a new thread, for work that blocks and must not occupy a thread of the concurrency pool.
///
/// - Parameter stackSize: The size of the thread's stack in bytes. Default: 512 KiB.
package func detachThread(stackSize: Int = 512 * 1024, _ body: @escaping @Sendable () -> Void) {
    // Not created with `init()`: which module provides that depends on the files that are compiled together.
    let attributes = UnsafeMutablePointer<pthread_attr_t>.allocate(capacity: 1)
    pthread_attr_init(attributes)
    defer {
        pthread_attr_destroy(attributes)
        attributes.deallocate()
    }
    pthread_attr_setdetachstate(attributes, Int32(PTHREAD_CREATE_DETACHED))
    pthread_attr_setstacksize(attributes, stackSize)
    let box = Unmanaged.passRetained(ThreadBody(run: body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, attributes,
        { argument in
            Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, box.toOpaque())
    precondition(code == 0, "cannot create a thread: \(String(cString: strerror(code)))")
}

/// Runs blocking work on a new thread and returns its result.
///
/// Cancellation does not interrupt the work.
///
/// - Parameter stackSize: The size of the thread's stack in bytes. Default: 512 KiB.
/// - Throws: The error of `body`.
package func onOwnThread<Result: Sendable>(
    stackSize: Int = 512 * 1024, _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        detachThread(stackSize: stackSize) { continuation.resume(with: Swift.Result(catching: body)) }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(run: @escaping @Sendable () -> Void) { self.run = run }
}
