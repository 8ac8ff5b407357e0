internal import ZooKeeper

/// The locks that the current task and its ancestors hold, the innermost last.
enum LockContext {
    @TaskLocal static var places: [HeldLock] = []

    /// Returns the innermost lock at a path that still has a holder.
    static func place(_ key: HeldLock.Key) -> HeldLock? {
        places.last { $0.key == key && $0.isInUse }
    }
}

/// A lock, or several locks, that a body can run under.
protocol ScopedHold: Sendable {
    var places: [HeldLock] { get }
    /// Whether the lock is still valid, or was valid when it was released.
    var hasHeldOn: Bool { get }
    /// The error to throw if the lock was lost.
    var lostError: RecipeError { get }
    func end() async
}

extension ScopedHold {
    /// Returns what is held, unless the calling task was cancelled: the cancellation may have arrived with the grant.
    ///
    /// - Throws: `CancellationError`; everything is released then.
    func unlessCancelled() async throws -> Self {
        guard Task.isCancelled else { return self }
        await end()
        throw CancellationError()
    }
}

extension Lease: ScopedHold {
    var places: [HeldLock] { [place] }
    var lostError: RecipeError { place.lostError }
    func end() async { await release() }
}

/// Runs bodies under locks.
enum LockBody {
    /// Runs a body, cancels it if the lock is lost, awaits it, and then releases the lock.
    static func run<Held: ScopedHold, Value: Sendable>(
        _ body: @escaping @Sendable (Held) async throws -> Value, holding held: Held
    ) async throws -> Value {
        // If the calling task was cancelled while the lock was granted, the body must not start.
        for place in held.places { place.beginBody() }
        let result: Result<Value, any Error> =
            Task.isCancelled ? .failure(CancellationError()) : await attend(body, held)
        for place in held.places { place.endBody() }
        await held.end()
        return try result.get()
    }

    private static func attend<Held: ScopedHold, Value: Sendable>(
        _ body: @escaping @Sendable (Held) async throws -> Value, _ held: Held
    ) async -> Result<Value, any Error> {
        let places = LockContext.places + held.places
        let canceller = Canceller()
        let observations = held.places.map { $0.loss.observe { _ in canceller.cancelInTask() } }
        defer { for observation in observations { observation.cancel() } }
        let result = await canceller.outcome {
            try await LockContext.$places.withValue(places) { try await body(held) }
        }
        // The last statements of the body may have run after the deadline, even if that was not noticed at the time.
        guard held.hasHeldOn else { return .failure(held.lostError) }
        return result
    }
}
