internal import ZooKeeper

/// The locks that the present task and its ancestors hold, the innermost last.
enum LockContext {
    @TaskLocal static var places: [LockPlace] = []

    /// The innermost one at a path that is still held by somebody.
    static func place(_ key: LockPlace.Key) -> LockPlace? {
        places.last { $0.key == key && $0.isInUse }
    }
}

/// What a body can be run under.
protocol HeldForBody: Sendable {
    var places: [LockPlace] { get }
    /// Whether it holds, or held until it was given up.
    var hasHeldOn: Bool { get }
    /// The error to end with when it does not.
    var lostError: RecipeError { get }
    var lost: LossReason { get async throws }
    func end() async
}

extension Lease: HeldForBody {
    var places: [LockPlace] { [place] }
    var lostError: RecipeError { place.lostError }
    func end() async { await release() }
}

/// Runs what is to be done under a lock.
enum LockBody {
    private enum Step<Value: Sendable> {
        case ended(Result<Value, any Error>)
        case lost
        case notLost
    }

    /// Runs a body, cancels it when the lock is lost, awaits it, and only then gives the lock up.
    static func run<Held: HeldForBody, Value: Sendable>(
        _ body: @escaping @Sendable (Held) async throws -> Value, holding held: Held
    ) async throws -> Value {
        // A cancellation that arrived with the grant: the body must not begin.
        for place in held.places { place.beginBody() }
        let result: Result<Value, any Error> =
            Task.isCancelled ? .failure(CancellationError()) : await attend(body, held)
        for place in held.places { place.endBody() }
        await held.end()
        return try result.get()
    }

    private static func attend<Held: HeldForBody, Value: Sendable>(
        _ body: @escaping @Sendable (Held) async throws -> Value, _ held: Held
    ) async -> Result<Value, any Error> {
        let places = LockContext.places + held.places
        let result = await withTaskGroup(of: Step<Value>.self) { group -> Result<Value, any Error>? in
            group.addTask {
                await LockContext.$places.withValue(places) {
                    do { return .ended(.success(try await body(held))) } catch { return .ended(.failure(error)) }
                }
            }
            group.addTask { (try? await held.lost) == nil ? .notLost : .lost }
            var result: Result<Value, any Error>?
            for await step in group {
                if case .ended(let ended) = step { result = ended }
                if case .notLost = step { continue }
                group.cancelAll()
            }
            return result
        }
        // What the body did last may have happened after the deadline, noticed or not.
        guard held.hasHeldOn else { return .failure(held.lostError) }
        return result ?? .failure(CancellationError())
    }
}
