internal import Logging
internal import Synchronization

extension ClientCore {
    /// What the heartbeat loop has to do now, and when it should look again.
    private struct Duties {
        var overdue: [PendingRequest] = []
        var lost: [HeldNode] = []
        var unwatched: [HeldNode] = []
        var retries: [@Sendable () -> Void] = []
        var beat: Beat?
        var mayStop = false
        var nextLook: MonotonicInstant?
    }

    /// A heartbeat under way, on the connection that it began on.
    private struct Beat {
        var session: LiveSession
        /// The number of the connection's establishment.
        var establishment: Int
        var isProof: Bool
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
            for retry in duties.retries { retry() }
            if duties.mayStop { stopIfDone() }
            if let beat = duties.beat { begin(beat) }
            await heartbeatWakeUp.wait(until: duties.nextLook, clock: clock)
        }
    }

    private func takeDuties(_ state: inout State, now: MonotonicInstant) -> Duties {
        var duties = Duties(overdue: state.takeOverdue(now: now))
        duties.lost = state.holds { $0.hasOutlivedDeadline(now: now) }
        duties.unwatched = state.holds { $0.isWatchDue(now: now) }
        let watchDue = state.holds.values.filter { $0.needsWatch && $0.watchDue > now }.map(\.watchDue).min()
        duties.mayStop = state.mayStop(now: now)
        if let retryAt = state.retryAt, retryAt <= now {
            duties.retries = state.retries
            (state.retries, state.retryAt) = ([], nil)
        }
        let heldUntil = state.holds.values.map(\.validUntil).filter { $0 > now }.min()
        var beatAt: MonotonicInstant?
        if state.phase != .stopped, state.isConnected, !state.isHeartbeatInFlight, let live = state.live {
            beatAt = state.nextHeartbeat
            if let due = beatAt, due <= now {
                duties.beat = Beat(
                    session: live, establishment: state.establishments, isProof: !state.holds.isEmpty)
                state.isHeartbeatInFlight = true
                beatAt = nil
            }
        }
        let stopCheck = state.nextStopCheck(now: now)
        duties.nextLook = [beatAt, heldUntil, watchDue, state.retryAt, stopCheck, state.deadlines.first?.instant]
            .compactMap(\.self).min()
        state.nextLook = duties.nextLook
        return duties
    }

    func timeOut(_ request: PendingRequest) {
        let isRunning = hasBegun.load(ordering: .relaxed)
        let why = isRunning ? "no connection in time" : "no connection in time: the client's run() has not begun"
        let error = ZooKeeperError(
            .operationTimeout, path: request.request.path, message: request.isSent ? "no answer in time" : why,
            isOutcomeUnknown: request.isSent && !request.request.isRead)
        finish(request, .failure(error))
    }

    private func lose(_ hold: HeldNode) {
        let logger = logger(for: hold.session.publicSession)
        guard hold.session.validUntil > clock.now else {
            logger.warning(
                "No proof of the session in time: what was held is not valid any more",
                metadata: ["zookeeper.path": "\(hold.path)"])
            return hold.lose(.deadlinePassed)
        }
        logger.warning(
            "An own znode could not be watched: what was held by it is not valid any more",
            metadata: [
                "zookeeper.path": "\(hold.path)",
                "zookeeper.reason": "\(hold.watchProblem.map { "\($0)" } ?? "no answer in time")",
            ])
        hold.lose(.notWatched)
    }

    /// While something is held, a `sync` goes to the leader and back before the proof is sent, so that the proof makes
    /// recent activity count; otherwise a read keeps the session alive.
    private func begin(_ beat: Beat) {
        send(beat.isProof ? .sync(path: "/") : .exists(path: "/"), of: beat) { [self] result in
            if beat.isProof, case .success = result { prove(beat) } else { end(beat, result, checks: []) }
        }
    }

    /// A transaction of nothing but checks changes nothing, wakes nobody, and is committed by the quorum all the same.
    private func prove(_ beat: Beat) {
        let checks = state.withLock { state -> [HeldNode]? in
            guard state.isUnderWay(beat.session, beat.establishment), !state.holds.isEmpty else { return nil }
            let refusedSize = state.packetLimit.refusedSize
            return state.nextChecks(atMost: Self.checksInProof) {
                encoder.prefixThatFits(ofChecks: $0.map(\.path), refusedSize: refusedSize)
            }
        }
        // Everything was released meanwhile; or the connection is another, which has a heartbeat of its own.
        guard let checks else { return end(beat, .success(.none), checks: []) }
        let paths = checks.isEmpty ? ["/"] : checks.map(\.path)
        send(.multi(paths.map { .check($0) }), of: beat) { [self] in end(beat, $0, checks: checks) }
    }

    private func send(
        _ request: SessionRequest, of beat: Beat, completion: @escaping @Sendable (SessionResult) -> Void
    ) {
        post(request, epoch: beat.session.epoch, whileClosing: true, completion: completion)
    }

    private func end(_ beat: Beat, _ result: SessionResult, checks: [HeldNode]) {
        let isUnderWay = state.withLock { state in
            guard state.isUnderWay(beat.session, beat.establishment) else { return false }
            state.isHeartbeatInFlight = false
            if case .failure = result { state.heartbeatPausedUntil = clock.now + state.validity.timeout / 16 }
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
            // The others are still without their proof.
            state.withLock { ($0.lastProofSent, $0.heartbeatPausedUntil) = (.distantPast, .distantPast) }
        }
        heartbeatWakeUp.signal()
    }
}

extension ClientCore.State {
    /// The own znodes that are held, in the order of their paths.
    func holds(where condition: (HeldNode) -> Bool) -> [HeldNode] {
        holds.values.filter(condition).sorted { (ZNodeName($0.path), $0.czxid) < (ZNodeName($1.path), $1.czxid) }
    }

    /// Whether a heartbeat that began in this session, on its connection of this number, is still the present one.
    fileprivate func isUnderWay(_ session: LiveSession, _ establishment: Int) -> Bool {
        live === session && establishments == establishment
    }

    /// When the session needs a request of its own.
    fileprivate var nextHeartbeat: MonotonicInstant {
        if holds.isEmpty { return lastSent == .distantPast ? lastSent : lastSent + validity.timeout * 0.3 }
        let due = lastProofSent == .distantPast ? lastProofSent : validity.nextHeartbeat(after: lastProofSent)
        return max(due, heartbeatPausedUntil)
    }

    /// The own znodes whose turn it is to be checked.
    ///
    /// - Parameter prefixThatFits: How many of them fit into one packet.
    fileprivate mutating func nextChecks(atMost limit: Int, prefixThatFits: ([HeldNode]) -> Int) -> [HeldNode] {
        let all = holds(where: \.allowsChecks)
        guard !all.isEmpty else { return [] }
        let start = proofOffset % all.count
        let turn = (0..<min(limit, all.count)).map { all[(start + $0) % all.count] }
        let checks = Array(turn.prefix(prefixThatFits(turn)))
        proofOffset = checks.count == all.count ? 0 : start + checks.count
        return checks
    }
}
