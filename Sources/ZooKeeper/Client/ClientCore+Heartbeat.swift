internal import Logging
internal import Synchronization

extension ClientCore {
    /// The work that is due in the heartbeat loop, and the time of its next check.
    private struct HeartbeatWork {
        var overdue: [PendingRequest]
        var lost: [HeldNode] = []
        var unwatched: [HeldNode] = []
        var calls: [DelayedCalls.Call] = []
        var beat: Beat?
        var mayStop: Bool
        var nextLook: MonotonicInstant?
    }

    /// A heartbeat in progress, on the connection on which it started.
    private struct Beat {
        var session: SessionHandle
        /// The number of the established connection.
        var establishment: Int
        var isProof: Bool
    }

    /// The maximum number of held znodes that one transaction checks; if there are more, they are checked in turn.
    private static let checksInProof = 128

    /// Extends the validity while something is held, keeps the session alive otherwise, and ends grants at their
    /// deadline.
    func heartbeats() async {
        while !Task.isCancelled {
            let heartbeatWork = state.withLock { takeDuties(&$0, now: clock.now) }
            for request in heartbeatWork.overdue { timeOut(request) }
            for hold in heartbeatWork.lost { lose(hold) }
            for hold in heartbeatWork.unwatched { hold.watch() }
            for call in heartbeatWork.calls { call() }
            if heartbeatWork.mayStop { stopIfDone() }
            if let beat = heartbeatWork.beat { begin(beat) }
            await heartbeatWakeUp.wait(until: heartbeatWork.nextLook, clock: clock)
        }
    }

    private func takeDuties(_ state: inout State, now: MonotonicInstant) -> HeartbeatWork {
        var heartbeatWork = HeartbeatWork(
            overdue: state.requests.takeOverdue(now: now), mayStop: state.mayStop(now: now))
        let due = state.held.takeDue(now: now, sessionValidUntil: state.live?.validUntil ?? .distantPast)
        (heartbeatWork.lost, heartbeatWork.unwatched) = (due.lost, due.unwatched)
        heartbeatWork.calls = state.delayedCalls.takeDue(now: now)
        var beatAt: MonotonicInstant?
        if state.phase != .stopped, state.isConnected, let live = state.live {
            let beat = Beat(
                session: live, establishment: state.connections.establishments, isProof: !state.held.isEmpty)
            switch state.heartbeat.next(now: now, isHolding: beat.isProof, validity: state.validity) {
            case .wait(let instant): beatAt = instant
            case .read, .proof: heartbeatWork.beat = beat
            }
        }
        heartbeatWork.nextLook = state.heartbeat.sleep(
            untilFirstOf: beatAt, due.nextLook, state.delayedCalls.due, state.nextStopCheck(now: now),
            state.requests.deadlines.first?.instant)
        return heartbeatWork
    }

    func timeOut(_ request: PendingRequest) {
        // One that is not sent must not be sent after this has been told.
        let isSent = state.withLock { _ in !request.withdraw() }
        let why = runOnce.hasBegun ? "no connection in time" : "no connection in time: call the client's run()"
        let error = ZooKeeperError(
            .operationTimeout, path: request.request.path, message: isSent ? "no answer in time" : why,
            isOutcomeUnknown: isSent && !request.request.isRead)
        finish(request, .failure(error))
    }

    private func lose(_ hold: HeldNode) {
        let logger = logger(for: hold.session.publicSession)
        guard hold.session.validUntil > clock.now else {
            logger.warning(
                "The ensemble has not confirmed the session in time: the held znode is no longer valid",
                metadata: ["zookeeper.path": "\(hold.path)"])
            return hold.lose(.deadlinePassed)
        }
        logger.warning(
            "A held znode could not be watched: it is no longer valid",
            metadata: [
                "zookeeper.path": "\(hold.path)",
                "zookeeper.reason": "\(hold.watchProblem.map { "\($0)" } ?? "no answer in time")",
            ])
        hold.lose(.notWatched)
    }

    /// Starts a heartbeat.
    ///
    /// While something is held, a `sync` goes to the leader and back before the transaction of checks is sent, so that
    /// the transaction makes recent activity count. Otherwise a read keeps the session alive.
    private func begin(_ beat: Beat) {
        send(beat.isProof ? .sync(path: "/") : .exists(path: "/"), of: beat) { [self] result in
            if beat.isProof, case .success = result { prove(beat) } else { end(beat, result, checks: []) }
        }
    }

    /// Sends a transaction that contains only checks: it changes nothing and wakes no client, but the quorum commits
    /// it.
    private func prove(_ beat: Beat) {
        let checks = state.withLock { state -> [HeldNode]? in
            guard state.isUnderWay(beat.session, beat.establishment), !state.held.isEmpty else { return nil }
            let refusedSize = state.requests.packetLimit.refusedSize
            return state.held.nextChecks(atMost: Self.checksInProof) {
                encoder.prefixThatFits(ofChecks: $0.map(\.path), refusedSize: refusedSize)
            }
        }
        // Everything was released in the meantime, or there is a new connection, which has its own heartbeat.
        guard let checks else { return end(beat, .success(.none), checks: []) }
        let paths = checks.isEmpty ? ["/"] : checks.map(\.path)
        send(.multi(paths.map { .check($0) }), of: beat) { [self] in end(beat, $0, checks: checks) }
    }

    /// Sends a request of a heartbeat before all that wait for their turn: the session's validity must not depend on how
    /// many requests the program has queued.
    private func send(
        _ request: SessionRequest, of beat: Beat, completion: @escaping @Sendable (SessionResult) -> Void
    ) {
        post(request, epoch: beat.session.epoch, whileClosing: true, first: true, completion: completion)
    }

    private func end(_ beat: Beat, _ result: SessionResult, checks: [HeldNode]) {
        let isUnderWay = state.withLock { state in
            guard state.isUnderWay(beat.session, beat.establishment) else { return false }
            let isFailure = if case .failure = result { true } else { false }
            state.heartbeat.ended(isFailure: isFailure, now: clock.now, timeout: state.validity.timeout)
            return true
        }
        guard isUnderWay else { return }
        switch result {
        case .success:
            if !checks.isEmpty { metrics.proved(validityLeft: max(.zero, beat.session.validUntil - clock.now)) }
        case .failure(let error):
            guard let index = error.failedOperation, index < checks.count else { break }
            switch error.code {
            case .noNode: checks[index].lose(.znodeDeleted)
            case .noAuth: checks[index].refuseChecks()
            default: break
            }
            // The other znodes have not been checked yet.
            state.withLock { $0.heartbeat.repeatAtOnce() }
        }
        heartbeatWakeUp.signal()
    }
}

extension ClientCore.State {
    /// Returns whether the heartbeat loop has to be woken for a znode that is now held.
    ///
    /// A wake-up takes longer than a short lock; for locks in quick succession there is one each 20 ms.
    mutating func mustWake(for hold: HeldNode, now: MonotonicInstant) -> Bool {
        let watchDue = hold.watchDue > now ? hold.watchDue : nil
        let beatDue = heartbeat.due(isHolding: true, validity: validity)
        guard let look = [watchDue, beatDue, hold.validUntil].compactMap(\.self).min() else { return false }
        return heartbeat.mustWake(for: look)
    }

    /// Returns whether a heartbeat that started in this session, on the connection with this number, is still the
    /// current one.
    fileprivate func isUnderWay(_ session: SessionHandle, _ establishment: Int) -> Bool {
        live === session && connections.establishments == establishment
    }
}
