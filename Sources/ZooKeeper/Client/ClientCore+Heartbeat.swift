internal import Logging
internal import Synchronization

extension ClientCore {
    /// What the heartbeat loop has to do now, and when it should look again.
    private struct Duties {
        var overdue: [PendingRequest] = []
        var lost: [HeldNode] = []
        var unwatched: [HeldNode] = []
        /// The own znodes to check in a heartbeat; `nil` for no heartbeat.
        var checks: [HeldNode]?
        var isProof = false
        var session: LiveSession?
        var isDrainOver = false
        var nextLook: MonotonicInstant?
    }

    /// The most own znodes that one proof checks; more take turns.
    private static let checksInProof = 128

    /// Proves the session while something is held, keeps it alive otherwise, and ends what has outlived its deadline.
    func heartbeats() async {
        while !Task.isCancelled {
            let duties = state.withLock { takeDuties(&$0, now: clock.now) }
            for request in duties.overdue { timeOut(request) }
            for hold in duties.lost { lose(hold) }
            for hold in duties.unwatched { hold.watch() }
            if duties.isDrainOver { stop() }
            if let checks = duties.checks, let session = duties.session {
                beat(checks, session, isProof: duties.isProof)
            }
            await heartbeatWakeUp.wait(until: duties.nextLook, clock: clock)
        }
    }

    private func takeDuties(_ state: inout State, now: MonotonicInstant) -> Duties {
        var duties = Duties(overdue: state.takeOverdue(now: now), session: state.live)
        duties.lost = state.holds { $0.hasOutlivedDeadline(now: now) }
        duties.unwatched = state.holds { $0.isWatchDue(now: now) }
        let watchDue = state.holds.values.filter { $0.needsWatch && $0.watchDue > now }.map(\.watchDue).min()
        duties.isDrainOver = state.phase == .draining && state.drainUntil.map { $0 <= now } ?? false
        if let rewatchAt = state.rewatchAt, rewatchAt <= now {
            duties.unwatched += state.unwatchedHolds
            (state.unwatchedHolds, state.rewatchAt) = ([], nil)
        }
        let heldUntil = state.holds.values.map(\.validUntil).filter { $0 > now }.min()
        var beatAt: MonotonicInstant?
        if state.isConnected, !state.isHeartbeatInFlight {
            beatAt = state.nextHeartbeat
            if let due = beatAt, due <= now {
                duties.checks = state.holds.isEmpty ? [] : state.nextChecks(atMost: Self.checksInProof)
                duties.isProof = !state.holds.isEmpty
                state.isHeartbeatInFlight = true
                beatAt = nil
            }
        }
        let drainUntil = duties.isDrainOver ? nil : state.drainUntil
        duties.nextLook = [beatAt, heldUntil, watchDue, state.rewatchAt, drainUntil, state.deadlines.first?.instant]
            .compactMap(\.self).min()
        state.nextLook = duties.nextLook
        return duties
    }

    private func timeOut(_ request: PendingRequest) {
        let error = ZooKeeperError(
            .operationTimeout, path: request.request.path,
            message: request.isSent ? "no answer in time" : "no connection in time",
            isOutcomeUnknown: request.isSent && !request.request.isRead)
        finish(request, .failure(error))
    }

    private func lose(_ hold: HeldNode) {
        logger(for: hold.session.publicSession).warning(
            "No proof of the session in time: what was held is not valid any more",
            metadata: ["zookeeper.path": "\(hold.path)"])
        hold.lose(.deadlinePassed)
    }

    /// A transaction of nothing but checks changes nothing, wakes nobody, and is committed by the quorum all the same.
    private func beat(_ checks: [HeldNode], _ session: LiveSession, isProof: Bool) {
        let paths = checks.isEmpty ? ["/"] : checks.map(\.path)
        let request: SessionRequest = isProof ? .multi(paths.map { .check($0) }) : .exists(path: "/")
        submit([request], epoch: session.epoch, whileDraining: true)[0].observe { [self] result in
            beatAnswered(result, checks: checks, session: session)
        }
    }

    private func beatAnswered(_ result: SessionResult, checks: [HeldNode], session: LiveSession) {
        let isPresent = state.withLock { state in
            guard state.live === session else { return false }
            state.isHeartbeatInFlight = false
            if case .failure = result { state.heartbeatPausedUntil = clock.now + state.validity.timeout / 16 }
            return true
        }
        guard isPresent else { return }
        switch result {
        case .success:
            if !checks.isEmpty { metrics.proved(validityLeft: max(.zero, session.validUntil - clock.now)) }
        case .failure(let error):
            guard let index = error.failedOperation, index < checks.count else { break }
            switch error.code {
            case .noNode: checks[index].lose(.znodeDeleted)
            case .noAuth: checks[index].refuseChecks()
            default: break
            }
            // The others are still without their proof.
            state.withLock { ($0.lastProofSent, $0.heartbeatPausedUntil) = (.distantPast, .distantPast) }
        }
        heartbeatWakeUp.signal()
    }
}

extension ClientCore.State {
    /// The own znodes that are held, in the order of their paths.
    func holds(where condition: (HeldNode) -> Bool) -> [HeldNode] {
        holds.values.filter(condition).sorted { ($0.path, $0.czxid.rawValue) < ($1.path, $1.czxid.rawValue) }
    }

    /// When the session needs a request of its own.
    fileprivate var nextHeartbeat: MonotonicInstant {
        if holds.isEmpty { return lastSent == .distantPast ? lastSent : lastSent + validity.timeout * 0.3 }
        let due = lastProofSent == .distantPast ? lastProofSent : validity.nextHeartbeat(after: lastProofSent)
        return max(due, heartbeatPausedUntil)
    }

    /// The own znodes whose turn it is to be checked.
    fileprivate mutating func nextChecks(atMost limit: Int) -> [HeldNode] {
        let all = holds(where: \.allowsChecks)
        guard all.count > limit else { return all }
        let start = proofOffset % all.count
        proofOffset = start + limit
        return (0..<limit).map { all[(start + $0) % all.count] }
    }
}
