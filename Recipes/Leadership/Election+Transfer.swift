internal import Synchronization
internal import ZooKeeper

// The directed transfer: the leader offers its position, the participant moves right behind it, and the leader resigns.
//
// The offer is a request to the participant's candidate znode. The participant replaces its candidate znode with one
// that has the leader's number. It does so in one transaction that also checks the leader's candidate znode and deletes
// the offer. Because the new znode is younger, it is behind the leader and ahead of all others, in Apache Curator's
// order as well. If the leader withdraws the offer first, the offer was not accepted: one of the two transactions finds
// that the offer no longer exists.
extension Election {
    /// Transfers leadership to a participant and ends the current term.
    func resign(to id: String, timeout: Duration) async throws {
        let deadline = client.clock.now + timeout
        guard let term else { throw RecipeError(.notLeading, in: .election, path: path) }
        guard !id.hasBytes(of: self.id) else {
            throw RecipeError(
                .invalidArgument, in: .election, path: path,
                message: "id is \"\(id)\", the leader's own; name another participant")
        }
        let participants = try await client.recipeSteps(until: deadline) { [client, path] in
            try await LeaderSelector.participants(client: client, path: path)
        }
        guard let others = participants else {
            throw RecipeError(
                .timedOut, in: .election, path: path, message: "the ensemble did not answer within \(timeout)")
        }
        let named = others.first { $0.id.hasBytes(of: id) }
        guard let candidate = named.flatMap({ ContenderName($0.znode) }) else {
            throw RecipeError(
                .unknownParticipant, in: .election, path: path, message: "no waiting participant has the id \"\(id)\"")
        }
        try await handOver(to: candidate, in: term, until: deadline)
        try await term.over.wait()
    }

    /// Offers the leader's position to a candidate, and ends the term once the candidate is right behind the leader.
    ///
    /// - Throws: ``RecipeError`` or `CancellationError`. In both cases, the term continues.
    func handOver(to candidate: ContenderName, in term: Term, until deadline: MonotonicInstant) async throws {
        let finished = try await beginTransfer(until: deadline)
        defer { finished.set(()) }
        guard term.ending.value == nil else { throw RecipeError(.notLeading, in: .election, path: path) }
        let session = term.held.session
        let offer = ContenderRequest(.transfer, requesterID: id, details: ["holder": term.candidate.string])
        let standsBeside = ZNodePath.child(candidate.named(beside: term.candidate), of: path)
        let request: String?
        do {
            request = try await offer.send(to: candidate.string, inQueue: path, client: client, session: session)
        } catch let error as ZooKeeperError where error.code == .sessionExpired {
            throw RecipeError(.lost, in: .election, path: path, lossReason: .sessionEnded)
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
            throw RecipeError(
                .unknownParticipant, in: .election, path: path, message: "candidate \(candidate) has left the election")
        }
        throw RecipeError(isAnswered ? .transferRefused : .timedOut, in: .election, path: path)
    }

    /// Starts a transfer, after waiting until the deadline at the latest for the previous transfer to end.
    ///
    /// Only one transfer is in progress at a time.
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
                throw RecipeError(.timedOut, in: .election, path: path, message: "another transfer did not end in time")
            }
        }
    }

    /// Waits until the offer no longer exists, and withdraws it if that does not happen in time.
    ///
    /// - Returns: `false` if the offer was withdrawn, so that it can no longer be accepted.
    private func untilUsedUp(_ request: String?, session: SessionHandle, deadline: MonotonicInstant) async throws
        -> Bool
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

    private func awaitEnd(of path: String, session: SessionHandle) async throws {
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

    private func exists(_ path: String, session: SessionHandle) async throws -> Bool {
        try await repeated {
            do {
                // The connected server must have applied the participant's transaction.
                _ = try await session.sendAll(behindBarrierAt: path, [.exists(path: path)])[0].get()
                return true
            } catch let error as ZooKeeperError where error.code == .noNode {
                return false
            }
        }
    }

    /// Repeats an operation that failed with a lost connection, as long as the session exists.
    private func repeated(_ operation: () async throws -> Bool) async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                return try await operation()
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                throw RecipeError(.lost, in: .election, path: path, lossReason: .sessionEnded)
            }
        }
    }
}
