public import ZooKeeper

// What operators request from leaders.
extension LeaderSelector {
    /// Asks the leader of an election to resign, or to transfer its leadership, and waits until its term has ended.
    ///
    /// ```swift
    /// let participants = try await LeaderSelector.participants(client: client, path: "/app/leader")
    /// if let leader = participants.first {
    ///     try await LeaderSelector.requestResignation(
    ///         client: client, path: "/app/leader", id: "ada", from: leader, reason: "maintenance of its host")
    /// }
    /// ```
    ///
    /// The client does not have to take part in the election, which may also be that of a ``LeaderLatch``. The leader
    /// logs the request with the operator and the reason. A leader that resigns rejoins the election at the end of the
    /// queue. With a successor, it transfers its leadership, as in ``resign(to:timeout:)``; if the successor does not
    /// accept, the leader continues.
    ///
    /// The request belongs to the term in progress: a later term of the same participant is not affected. Leaders that
    /// use another implementation, such as JVM processes, do not read it.
    ///
    /// - Parameters:
    ///   - client: The client that sends the request.
    ///   - path: The directory of the election.
    ///   - id: The ID of the operator, for the leader's log.
    ///   - leader: The leader, as ``participants(client:path:)`` returned it.
    ///   - successor: The participant that leads next; `nil` leaves that to the order of the queue. Default: `nil`.
    ///   - reason: The reason, for the leader's log. Default: empty.
    ///   - timeout: The time until the end of the term, which includes the time that the leader's work needs to end.
    ///     Default: 30 s.
    /// - Returns: The participant at the front of the queue after the term, or `nil` if there is none.
    /// - Throws: ``RecipeError`` with code `.notLeading` if the leader's term has ended already; `.notAnswered` if it has
    ///   not ended in time. Its message says whether the leader has read the request; if it has not, the request is
    ///   withdrawn, and the term continues. `ZooKeeperError`, such as `.noAuth`; `CancellationError`, after which the
    ///   leader may have received the request.
    /// - Complexity: 2 requests in 2 round trips to send the request, 2 to observe the end of the term, and 2 to read
    ///   the next leader. The leader sends 3.
    @discardableResult
    public static func requestResignation(
        client: ZooKeeperClient, path: String, id: String, from leader: ElectionParticipant,
        to successor: ElectionParticipant? = nil, reason: String = "", timeout: Duration = .seconds(30)
    ) async throws -> ElectionParticipant? {
        let deadline = client.clock.now + timeout
        let request = ContenderRequest(
            .resign, requesterID: id, reason: reason, details: successor.map { ["candidate": $0.znode] } ?? [:])
        let sent = OperatorRequest(client: client)
        defer { sent.withdraw() }
        let isSent = try await client.recipeSteps(until: deadline) {
            try await sent.send(request, to: leader.znode, inQueue: path)
        }
        if isSent == false {
            throw RecipeError(
                .notLeading, in: .election, path: path, participants: [leader.id],
                message: "the term of \(leader.id) has ended in the meantime; nothing was requested")
        }
        let candidate = ZNodePath.child(leader.znode, of: path)
        if isSent != nil {
            let hasEnded: Void? = try await client.recipeSteps(until: deadline) {
                try await client.awaitDeletion(of: candidate)
            }
            if hasEnded != nil { return try await Self.leader(client: client, path: path) }
        }
        let outcome = try await sent.end()
        if outcome == .read, try await client.exists(at: candidate) == nil {
            return try await Self.leader(client: client, path: path)
        }
        throw RecipeError(
            .notAnswered, in: .election, path: path, participants: [leader.id],
            message: refusal(of: leader, successor, after: timeout, outcome, isSent: isSent != nil))
    }

    /// Returns the text about a leader whose term has not ended in time.
    private static func refusal(
        of leader: ElectionParticipant, _ successor: ElectionParticipant?, after timeout: Duration,
        _ outcome: OperatorRequest.Outcome, isSent: Bool
    ) -> String {
        switch outcome {
        case .withdrawn where !isSent:
            return "the ensemble did not answer within \(timeout); the request to \(leader.id) is withdrawn"
        case .withdrawn:
            return "\(leader.id) has not read the request within \(timeout): its program hangs, or does not use this "
                + "package; the request is withdrawn"
        case .read:
            let reason = successor.map { "\($0.id) did not accept, or the work of the leader has not ended" }
            return "\(leader.id) has read the request, but still leads after \(timeout): "
                + (reason ?? "its work has not ended")
        case .unknown:
            return "\(leader.id) still led after \(timeout), and it is not known whether it has read the request: its "
                + "term may still end"
        }
    }
}
