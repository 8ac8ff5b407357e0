internal import Synchronization
internal import ZooKeeper

/// A request that an operator withdraws after a timeout, to learn whether it was read.
final class OperatorRequest: Sendable {
    /// What the end of a request says about its recipient.
    enum Outcome: Sendable, Hashable {
        /// The recipient has not read the request, and cannot read it any more.
        case withdrawn
        /// The recipient has read the request.
        case read
        /// An answer was lost, or the session has ended.
        case unknown
    }

    private let client: ZooKeeperClient
    /// The last request that was sent, and whether its creation was answered.
    private let sent = Mutex<(path: String, session: SessionHandle, isAnswered: Bool)?>(nil)

    init(client: ZooKeeperClient) { self.client = client }

    /// Sends the request.
    ///
    /// - Returns: Whether the recipient's candidate exists.
    /// - Throws: `ZooKeeperError`; `CancellationError`, in which case the request may exist.
    func send(_ request: ContenderRequest, to candidate: String, inQueue queue: String) async throws -> Bool {
        let answer = try await request.send(to: candidate, inQueue: queue, client: client) { path, session in
            sent.withLock { $0 = (path, session, false) }
        }
        sent.withLock { $0?.isAnswered = true }
        return answer != nil
    }

    /// Withdraws the request in the background, whether or not its recipient has read it.
    func withdraw() {
        guard let sent = sent.withLock({ $0 }) else { return }
        ContenderRequest.withdraw(sent.path, session: sent.session)
    }

    /// Withdraws the request, and returns whether its recipient has read it.
    ///
    /// The recipient deletes a request that it reads. Only one of the two deletions succeeds. Without an answer, the
    /// method returns after a session timeout.
    ///
    /// - Throws: `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    func end() async throws -> Outcome {
        guard let (path, session, isAnswered) = sent.withLock({ $0 }) else { return .withdrawn }
        let client = client
        return try await client.clock.run(until: client.clock.now + session.timeout) {
            var backoff = client.makeBackoff(.quick)
            var isCertain = isAnswered
            while true {
                do {
                    _ = try await session.send(.delete(path: path))
                    return .withdrawn
                } catch let error as ZooKeeperError where error.code == .noNode {
                    return isCertain ? .read : .unknown
                } catch let error as ZooKeeperError where error.isTransientInSession {
                    // The deletion may have been executed.
                    if error.isOutcomeUnknown { isCertain = false }
                    try await client.clock.sleep(until: client.clock.now + backoff.pause())
                } catch is ZooKeeperError {
                    return .unknown
                }
            }
        } ?? .unknown
    }
}
