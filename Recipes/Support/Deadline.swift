internal import ZooKeeper

extension ZooKeeperClient {
    /// Runs the steps of a recipe with the timeout of the caller; `nil` runs them to completion.
    ///
    /// Only this timeout ends the steps: their requests wait for the ensemble without limit.
    ///
    /// - Parameters:
    ///   - timeout: The timeout; `nil` waits without limit.
    ///   - recipe: The recipe that the error refers to.
    ///   - path: The path that the error refers to.
    ///   - operation: The steps.
    /// - Throws: ``RecipeError`` with code `.timedOut`, or the error of the operation.
    func within<Result: Sendable>(
        _ timeout: Duration?, of recipe: RecipeError.Recipe, at path: String,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        guard let timeout else { return try await recipeSteps(operation) }
        guard let result = try await recipeSteps(until: clock.now + timeout, operation) else {
            throw RecipeError(.timedOut, in: recipe, path: path, message: "waited for \(timeout)")
        }
        return result
    }

    /// Runs the steps of a recipe, and cancels them at a deadline.
    ///
    /// - Returns: `nil` if the deadline passed first.
    func recipeSteps<Result: Sendable>(
        until deadline: MonotonicInstant, _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result? {
        try await clock.run(until: deadline) { try await self.recipeSteps(operation) }
    }

    /// Sends requests once, pipelined, in the current session or the next one.
    ///
    /// A request that was lost with its connection or its session fails with a code for which
    /// ``ZooKeeperError/isTransient`` is true.
    func sendAll(_ requests: SessionRequest...) async throws -> [SessionResult] {
        try await connectedSession().sendAll(requests)
    }

    /// Sends requests that set a watch on a znode, as ``sendAll(_:)`` does; cancelling the call removes the watch.
    func sendAll(
        watching path: String, _ requests: (WatchSink) -> [SessionRequest]
    ) async throws -> (results: [SessionResult], watch: OneShotWatch) {
        let watch = OneShotWatch(self, path: path)
        do {
            return (try await connectedSession().sendAll(requests(watch.sink)), watch)
        } catch {
            watch.giveUp()
            throw error
        }
    }
}
