import Glibc

/// Runs `body` on a thread of its own, for work that blocks and must not hold a thread of the concurrency pool.
package func detachThread(stackSize: Int = 512 * 1024, _ body: @escaping @Sendable () -> Void) {
    // Not made with `init()`: whose that is depends on the files that the compiler takes together.
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
    precondition(code == 0, "no thread could be made: \(String(cString: strerror(code)))")
}

/// Runs blocking work on a thread of its own and returns what it returned.
///
/// Cancellation does not interrupt it.
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
