internal import ZooKeeper

extension ZooKeeperClient {
    /// Runs the steps of a recipe until its caller's limit has passed; without a limit until they are done.
    ///
    /// The limit alone ends them: their requests wait for the ensemble, however long it is away.
    ///
    /// - Throws: ``RecipeError`` with code `.timedOut`, or the error of the operation.
    func within<Result: Sendable>(
        _ patience: Duration?, of recipe: RecipeError.Recipe, at path: String,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        guard let patience else { return try await recipeSteps(operation) }
        guard let result = try await recipeSteps(until: clock.now + patience, operation) else {
            throw RecipeError(.timedOut, in: recipe, path: path, message: "waited for \(patience)")
        }
        return result
    }

    /// Runs the steps of a recipe until a deadline, which cancels them.
    ///
    /// - Returns: `nil` if the deadline has passed first.
    func recipeSteps<Result: Sendable>(
        until deadline: MonotonicInstant, _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result? {
        try await clock.run(until: deadline) { try await self.recipeSteps(operation) }
    }

    /// Sends requests in the present session or the next one, once.
    ///
    /// What was lost with its connection or its session fails with a code for which ``ZooKeeperError/isTransient`` holds.
    func flight(_ requests: SessionRequest...) async throws -> [SessionResult] {
        try await liveSession().flight(requests)
    }

    /// The same with requests that set a watch on a znode; a cancelled flight gives it up.
    func flight(
        watching path: String, _ requests: (WatchSink) -> [SessionRequest]
    ) async throws -> (results: [SessionResult], watch: OneShotWatch) {
        let watch = OneShotWatch(self, path: path)
        do {
            return (try await liveSession().flight(requests(watch.sink)), watch)
        } catch {
            watch.giveUp()
            throw error
        }
    }
}
