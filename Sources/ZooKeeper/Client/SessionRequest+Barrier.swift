extension SessionRequest {
    /// A transaction that changes nothing: when it is answered, everything that the leader had ordered before it is done,
    /// and seen by what this session reads next.
    ///
    /// Who looks for what an earlier request of its own may have created sends this first. `sync` promises less: a leader
    /// answers its own clients' without waiting for the votes on what it has proposed (`CommitProcessor.needCommit` of
    /// ZooKeeper 3.8), and only the server's way of queueing a session's requests makes it wait for the session's own.
    package static func barrier(at path: String) -> SessionRequest {
        .multi([.check(path)])
    }
}

extension SessionResult {
    /// What follows a barrier, or the reason why it is none.
    ///
    /// A check that failed was ordered and carried out as well.
    package func asBarrier(before next: SessionResult) -> SessionResult {
        switch self {
        case .success: next
        case .failure(let error) where error.code == .noNode || error.code == .noAuth: next
        case .failure: self
        }
    }
}

extension LiveSession {
    /// Sends a barrier and requests behind it, all in one batch.
    ///
    /// - Parameters:
    ///   - node: The znode that the barrier checks; it does not have to exist.
    ///   - whileClosing: Whether a closing client sends them as well.
    /// - Returns: One result a request; the barrier's error in place of each if it failed.
    /// - Throws: `CancellationError` if the task is cancelled.
    package func flight(
        behindBarrierAt node: String, _ requests: [SessionRequest], batch: RequestBatch? = nil,
        whileClosing: Bool = false
    ) async throws -> [SessionResult] {
        let results = try await flight([.barrier(at: node)] + requests, batch: batch, whileClosing: whileClosing)
        return results.dropFirst().map { results[0].asBarrier(before: $0) }
    }
}
