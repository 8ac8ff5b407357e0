internal import ZooKeeper

extension ReadWriteLock {
    /// Acquires, runs the body to its end, and gives the place up.
    func hold<Value: Sendable>(
        _ kind: ContenderName.Kind, _ patience: Patience, _ body: @escaping @Sendable (Lease) async throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        let place = try await place(kind, patience)
        let lease = Lease(place)
        // A cancellation that arrived with the grant: the body must not begin.
        let result: Result<Value, any Error> =
            Task.isCancelled ? .failure(CancellationError()) : await run(body, lease)
        lease.finish()
        await place.leave()
        return try result.get()
    }

    private enum Step<Value: Sendable> {
        case ended(Result<Value, any Error>)
        case lost
        case notLost
    }

    /// Runs the body, cancels it when the lock is lost, and returns when it has ended.
    private func run<Value: Sendable>(
        _ body: @escaping @Sendable (Lease) async throws -> Value, _ lease: Lease
    ) async -> Result<Value, any Error> {
        let places = LockContext.places + [lease.place]
        let result = await withTaskGroup(of: Step<Value>.self) { group -> Result<Value, any Error>? in
            group.addTask {
                await LockContext.$places.withValue(places) {
                    do { return .ended(.success(try await body(lease))) } catch { return .ended(.failure(error)) }
                }
            }
            group.addTask { (try? await lease.lost) == nil ? .notLost : .lost }
            var result: Result<Value, any Error>?
            for await step in group {
                if case .ended(let ended) = step { result = ended }
                if case .notLost = step { continue }
                group.cancelAll()
            }
            return result
        }
        // What the body did last may have happened after the deadline, noticed or not.
        guard lease.isValid else {
            return .failure(LockError(.lost, path: path, reason: lease.place.lossReason))
        }
        return result ?? .failure(CancellationError())
    }
}
