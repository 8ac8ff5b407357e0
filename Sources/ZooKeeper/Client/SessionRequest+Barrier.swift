extension SessionRequest {
    /// Returns a transaction that changes nothing and acts as a barrier.
    ///
    /// When it is answered, everything that the leader had ordered before it has been executed, and later reads of this
    /// session see it.
    ///
    /// Send it before searching for a znode that an earlier request of the same session may have created. `sync`
    /// guarantees less: a leader answers a `sync` of its own clients without waiting for the votes on its proposals
    /// (`CommitProcessor.needCommit` of ZooKeeper 3.8). Only the server's queueing of a session's requests makes it
    /// wait for those of the same session.
    package static func barrier(at path: String) -> SessionRequest {
        .multi([.check(path)])
    }
}

extension SessionResult {
    /// Returns the result that follows a barrier, or the error of the barrier if it is not effective.
    ///
    /// A check that failed was also ordered and executed.
    package func asBarrier(before next: SessionResult) -> SessionResult {
        switch self {
        case .success: next
        case .failure(let error) where error.code == .noNode || error.code == .noAuth: next
        case .failure: self
        }
    }
}

extension SessionHandle {
    /// Sends a barrier followed by requests, all in one batch.
    ///
    /// - Parameters:
    ///   - node: The path of the znode that the barrier checks; the znode does not have to exist.
    ///   - whileClosing: Whether a closing client sends them as well.
    /// - Returns: One result per request; if the barrier failed, its error for each request.
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: One request for each element and 1 for the barrier, in 1 round trip.
    package func sendAll(
        behindBarrierAt node: String, _ requests: [SessionRequest], batch: RequestBatch? = nil,
        whileClosing: Bool = false
    ) async throws -> [SessionResult] {
        let results = try await sendAll([.barrier(at: node)] + requests, batch: batch, whileClosing: whileClosing)
        return results.dropFirst().map { results[0].asBarrier(before: $0) }
    }
}
