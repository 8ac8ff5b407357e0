extension SessionRequest {
    /// A transaction that changes nothing: when it is answered, everything that the leader had ordered before it is done,
    /// and seen by what this session reads next.
    ///
    /// Who looks for what an earlier request of its own may have created must send this first. `sync` does not do: it is
    /// a barrier on a follower, but a leader answers its own clients at once, while it still gathers the votes for what it
    /// has proposed (`CommitProcessor.needCommit` of ZooKeeper 3.8, unchanged in 3.9).
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
