internal import Synchronization

#if Tracing
internal import Instrumentation
internal import Tracing
#endif

extension ClientCore {
    /// Sends a request in the current session, and repeats it while that is safe and the policy allows it.
    ///
    /// - Parameter deadline: The deadline for a request that is a step of a longer operation. `nil` uses the deadline
    ///   of the policy, and no deadline in the steps of a recipe.
    func perform(_ request: SessionRequest, until deadline: MonotonicInstant? = nil) async throws -> SessionReply {
        #if Tracing
        let tracer = configuration.tracer ?? InstrumentationSystem.tracer
        return try await tracer.withAnySpan("zookeeper.\(request.name)", ofKind: .client) { span in
            span.attributes["db.system.name"] = "zookeeper"
            span.attributes["db.operation.name"] = request.name
            if let path = request.path { span.attributes["zookeeper.path"] = path }
            return try await repeatUntilDone(request, until: deadline)
        }
        #else
        try await repeatUntilDone(request, until: deadline)
        #endif
    }

    private func repeatUntilDone(
        _ request: SessionRequest, until deadline: MonotonicInstant?
    ) async throws -> SessionReply {
        let policy = configuration.retry
        let deadline = deadline ?? requestDeadline
        var backoff = Backoff(
            Backoff.Policy(initial: policy.initialDelay, limit: policy.maximumDelay), seed: randomness.next())
        while true {
            switch try await result(of: submit([request], deadline: deadline)[0], until: deadline) {
            case .success(let reply): return reply
            case .failure(let error):
                let resume = clock.now + backoff.pause()
                guard error.allowsRepeating(request), deadline.map({ resume < $0 }) ?? true else { throw error }
                try await clock.sleep(until: resume)
            }
        }
    }
}

extension ClientCore {
    /// Waits for the result of a request until its deadline, also in a client that does not run.
    private func result(
        of request: PendingRequest, until deadline: MonotonicInstant?
    ) async throws -> SessionResult {
        guard let deadline, !runOnce.hasBegun else { return try await request.value() }
        return try await withThrowingTaskGroup(of: SessionResult?.self) { group in
            group.addTask { try await request.value() }
            group.addTask { [self] in
                try await clock.sleep(until: deadline)
                timeOut(request)
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }
}

/// Marks tasks whose requests are steps of a recipe.
private enum RecipeSteps {
    @TaskLocal static var isRunning = false
}

extension ClientCore {
    /// The deadline of a request that starts now, unless its caller sets one; `nil` for none.
    var requestDeadline: MonotonicInstant? {
        RecipeSteps.isRunning ? nil : clock.now + configuration.retry.timeout
    }
}

extension ZooKeeperClient {
    /// Runs steps of a recipe: their requests are retried until they are answered, or until the task is cancelled.
    ///
    /// The caller of a recipe decides how long it tries. The deadline of the retry policy applies to a single request.
    /// It would end a recipe with `.operationTimeout` before the limit of the caller, or although the caller has set
    /// none.
    package func recipeSteps<Result>(_ operation: () async throws -> Result) async rethrows -> Result {
        try await RecipeSteps.$isRunning.withValue(true, operation: operation)
    }
}

extension ZooKeeperError {
    /// Returns whether a request may be repeated after this error.
    ///
    /// Reads may be repeated, and so may requests that were certainly not executed because of the connection or the
    /// server's load.
    fileprivate func allowsRepeating(_ request: SessionRequest) -> Bool {
        if case .addAuth = request { return false }
        switch code {
        case .connectionLoss, .sessionMoved, .sessionExpired, .throttled: return request.isRead || !isOutcomeUnknown
        case .operationTimeout: return request.isRead && serverCode != nil
        default: return false
        }
    }
}
