internal import Synchronization
internal import ZooKeeper

/// The states of a held lock, reported in order to every observer.
///
/// The risk of a loss is evaluated only while there is an observer.
final class LeaseReport: Sendable {
    private struct State {
        var risk = LeaseRisk()
        var riskMonitor: Task<Void, Never>?
        var isOver = false
    }

    private let client: ZooKeeperClient
    private let session: SessionHandle
    private let states = Broadcast<LeaseState>(.held)
    private let state = Mutex(State())

    init(client: ZooKeeperClient, session: SessionHandle) {
        self.client = client
        self.session = session
    }

    deinit { state.withLock { $0.riskMonitor }?.cancel() }

    /// The state that was reported last, with the risk evaluated at this moment.
    func current(validUntil: MonotonicInstant) -> LeaseState {
        look(validUntil)
        return states.current
    }

    /// The outcome for the znode, after all users have left.
    var outcome: ReleaseOutcome {
        let last = states.current
        return last == .released ? .deleted : last == .sessionEnded ? .sessionEnded : .stillTrying
    }

    /// Returns the states, and starts evaluating the risk of a loss.
    ///
    /// - Parameter validUntil: Returns the deadline of the lock; called each time the risk is evaluated.
    func follow(_ validUntil: @escaping @Sendable () -> MonotonicInstant?) -> AsyncStream<LeaseState> {
        if let now = validUntil() { look(now) }
        state.withLock { state in
            guard state.riskMonitor == nil, !state.isOver else { return }
            state.riskMonitor = Task { [weak self, clock = client.clock, clientStates = client.states] in
                await race(
                    { [weak self] in
                        for await state in clientStates {
                            guard let until = validUntil(), self?.look(until) != nil else { return }
                            if state.isConnected { self?.prove(validUntil) }
                        }
                    },
                    { [weak self] in
                        while let until = validUntil(), let next = self?.look(until) {
                            guard (try? await clock.sleep(until: next)) != nil else { return }
                        }
                    })
            }
        }
        return states.follow()
    }

    /// Evaluates the risk of a loss, and reports a change.
    ///
    /// - Returns: The time of the next evaluation; `nil` if the lock can no longer be at risk.
    @discardableResult
    private func look(_ validUntil: MonotonicInstant) -> MonotonicInstant? {
        defer { states.deliver() }
        return state.withLock { state in
            guard !state.isOver else { return nil }
            let (now, timeout) = (client.clock.now, session.timeout)
            let isAtRisk = state.risk.look(
                now: now, validUntil: validUntil, timeout: timeout, isConnected: client.isConnected)
            let told = states.current
            if isAtRisk, !told.isAtRisk { states.enqueue(.atRisk(until: client.clock.continuousInstant(validUntil))) }
            if !isAtRisk, told.isAtRisk { states.enqueue(.held) }
            return state.risk.nextLook(now: now, validUntil: validUntil, timeout: timeout)
        }
    }

    /// Confirms the session on a new connection.
    ///
    /// This ends the risk immediately, before the next heartbeat does.
    private func prove(_ validUntil: @escaping @Sendable () -> MonotonicInstant?) {
        guard states.current.isAtRisk else { return }
        session.post(.multi([.check("/")])) { [weak self] _ in
            if let until = validUntil() { self?.look(until) }
        }
    }

    func lost(_ reason: LossReason) { end { $0.enqueue(.lost(reason)) } }
    func releasing() { end { $0.enqueue(.releasing) } }
    func finish(_ last: LeaseState) { end { $0.enqueueEnd(last) } }

    private func end(_ enqueue: (Broadcast<LeaseState>) -> Void) {
        let riskMonitor = state.withLock { state in
            state.isOver = true
            enqueue(states)
            defer { state.riskMonitor = nil }
            return state.riskMonitor
        }
        states.deliver()
        riskMonitor?.cancel()
    }
}
