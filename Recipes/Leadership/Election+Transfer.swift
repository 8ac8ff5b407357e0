internal import Synchronization
internal import ZooKeeper

// The directed transfer: the leader offers its place, the participant comes to stand beside it, the leader goes.
//
// The offer is a request to the participant's candidate. The participant replaces its candidate, in one transaction that
// checks the leader's candidate and uses the offer up, by a znode with the leader's number. Being younger it stands behind
// the leader, and in front of everybody else, for Apache Curator as well. An offer that the leader takes back first was
// not accepted: one of the two transactions finds it gone.
extension Election {
    /// Has a participant lead next, and ends the present term.
    func resign(to id: String, waitingAtMost patience: Duration) async throws {
        let deadline = client.clock.now + patience
        guard let term else { throw RecipeError(.notLeading, in: .election, path: path) }
        guard !id.hasBytes(of: self.id) else {
            throw RecipeError(.invalidArgument, in: .election, path: path, message: "id is the leader's own, \"\(id)\"")
        }
        let participants = try await client.recipeSteps(until: deadline) { [client, path] in
            try await LeaderSelector.participants(at: path, client: client)
        }
        guard let others = participants else {
            throw RecipeError(
                .timedOut, in: .election, path: path, message: "the ensemble did not answer within \(patience)")
        }
        let named = others.first { $0.id.hasBytes(of: id) }
        guard let candidate = named.flatMap({ ContenderName($0.candidate) }) else {
            throw RecipeError(
                .unknownParticipant, in: .election, path: path, message: "nobody waits with the id \"\(id)\"")
        }
        try await handOver(to: candidate, in: term, until: deadline)
        try await term.over.wait()
    }

    /// Offers the place to a candidate, and has the term end when that stands beside the own one.
    ///
    /// - Throws: ``RecipeError``, and the term goes on; `CancellationError`, and it does so as well.
    func handOver(to candidate: ContenderName, in term: Term, until deadline: MonotonicInstant) async throws {
        let finished = try await beginTransfer(until: deadline)
        defer { finished.set(()) }
        guard term.ending.value == nil else { throw RecipeError(.notLeading, in: .election, path: path) }
        let session = term.held.session
        let offer = ContenderRequest(.transfer, asker: id, details: ["holder": term.candidate.string])
        let standsBeside = ZNodePath.child(candidate.named(beside: term.candidate), of: path)
        let request: String?
        do {
            request = try await offer.send(to: candidate.string, inQueue: path, client: client, session: session)
        } catch let error as ZooKeeperError where error.code == .sessionExpired {
            throw RecipeError(.lost, in: .election, path: path, reason: .sessionEnded)
        }
        let isAnswered: Bool
        do {
            isAnswered = try await untilUsedUp(request, session: session, deadline: deadline)
        } catch {
            if let request { ContenderRequest.withdraw(request, session: session) }
            throw error
        }
        if try await exists(standsBeside, session: session) { return term.resign() }
        guard request != nil else {
            throw RecipeError(.unknownParticipant, in: .election, path: path, message: "\(candidate) has gone")
        }
        throw RecipeError(isAnswered ? .transferRefused : .timedOut, in: .election, path: path)
    }

    /// One transfer at a time; waits for the one before, but not beyond the deadline.
    private func beginTransfer(until deadline: MonotonicInstant) async throws -> OneShot<Void> {
        let mine = OneShot<Void>()
        while true {
            let before = shared.withLock { shared -> OneShot<Void>? in
                if let before = shared.transfer, before.value == nil { return before }
                shared.transfer = mine
                return nil
            }
            guard let before else { return mine }
            _ = try await client.clock.run(until: deadline) { try await before.wait() }
            guard before.value != nil else {
                throw RecipeError(.timedOut, in: .election, path: path, message: "another transfer is under way")
            }
        }
    }

    /// Waits until the offer was used up; takes it back when that does not happen in time.
    ///
    /// - Returns: `false` when it was taken back: nobody can use it any more.
    private func untilUsedUp(_ request: String?, session: LiveSession, deadline: MonotonicInstant) async throws -> Bool
    {
        guard let request else { return true }
        let isUsedUp: Void? = try await client.clock.run(until: deadline) {
            try await self.awaitEnd(of: request, session: session)
        }
        if isUsedUp != nil { return true }
        return try await repeated {
            do {
                _ = try await session.send(.delete(path: request))
                return false
            } catch let error as ZooKeeperError where error.code == .noNode {
                return true
            }
        }
    }

    private func awaitEnd(of path: String, session: LiveSession) async throws {
        while !session.hasEnded {
            let watch = OneShotWatch(client, path: path)
            do {
                _ = try await session.send(.exists(path: path, watch: watch.sink))
                try await watch.wait()
            } catch let error as ZooKeeperError where error.code == .noNode {
                return watch.giveUp()
            } catch let error as ZooKeeperError where error.isTransientInSession {
                continue
            } catch {
                watch.giveUp()
                throw error
            }
        }
    }

    private func exists(_ path: String, session: LiveSession) async throws -> Bool {
        try await repeated {
            do {
                // The own server has to have seen what the participant did.
                _ = try await session.flight(behindBarrierAt: path, [.exists(path: path)])[0].get()
                return true
            } catch let error as ZooKeeperError where error.code == .noNode {
                return false
            }
        }
    }

    /// Repeats what a lost connection has failed, as long as the session lives.
    private func repeated(_ operation: () async throws -> Bool) async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                return try await operation()
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                throw RecipeError(.lost, in: .election, path: path, reason: .sessionEnded)
            }
        }
    }
}
