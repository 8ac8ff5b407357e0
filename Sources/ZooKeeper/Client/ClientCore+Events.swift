internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

extension ClientCore {
    /// The side effects of an event, to perform outside of the lock, in order.
    private struct Aftermath {
        var states: [SessionState] = []
        var ended: [(session: SessionHandle, reason: LossReason)] = []
        var lostHolds: [(hold: HeldNode, reason: LossReason)] = []
        var refused: [PendingRequest] = []
        var refusal = ZooKeeperError(.sessionExpired)
        var watchers: [(sink: WatchSink, event: WatchEvent)] = []
        var wakesLoops = false
        /// The session whose validity has changed.
        var moved: SessionHandle?
        /// The position of the states among all states that are reported.
        var number = 0
    }

    /// Handles an event of the transport, on its thread.
    func receive(_ event: TransportEvent, connectionNumber: Int) {
        let now = clock.now
        let aftermath = state.withLock { state -> Aftermath? in
            guard connectionNumber == state.connections.number else { return nil }
            switch event {
            case .connected(let session):
                // Also if the state machine ignores it: earlier requests may be answered on this connection.
                state.connections.established()
                return apply(state.machine.connected(session), to: &state)
            case .disconnected:
                return apply(state.machine.disconnected(now: now), to: &state)
            case .expired: return apply(state.machine.expired(), to: &state)
            case .authenticationFailed: return apply(state.machine.authenticationFailed(), to: &state)
            case .openFailed(let text):
                logger.warning("Cannot open a connection", metadata: ["zookeeper.reason": "\(text)"])
                return apply(state.machine.openFailed(text, now: now), to: &state)
            case .watch(let event): return watchersOf(event, in: &state)
            }
        }
        if let aftermath { perform(aftermath) }
    }

    /// Makes a decision of the state machine, and performs its effects.
    func decide(_ decision: (inout SessionStateMachine) -> [SessionStateMachine.Effect]) {
        let aftermath = state.withLock { state in apply(decision(&state.machine), to: &state) }
        perform(aftermath)
    }

    private func watchersOf(_ event: TransportWatchEvent, in state: inout State) -> Aftermath {
        let sinks = state.watches.fired(event)
        let event = WatchEvent(event, path: encoder.stripped(event.path))
        return Aftermath(watchers: sinks.map { ($0, event) })
    }

    private func apply(
        _ effects: [SessionStateMachine.Effect], to state: inout State
    ) -> Aftermath {
        var aftermath = Aftermath()
        for effect in effects {
            switch effect {
            case .beginSession(let session):
                state.live = SessionHandle(session, core: self)
                state.hasToldWatchRefusal = false
                connected(session, &state, &aftermath)
            case .resumeSession(let session, let isReplaced):
                if isReplaced { interruptWatches(&state, &aftermath, kind: .interrupted) }
                connected(session, &state, &aftermath)
            case .suspend(let session): suspended(session, &state, &aftermath)
            case .endSession(let session): ended(session, &state, &aftermath)
            case .fail(let error): failed(error, &state, &aftermath)
            case .wake: aftermath.wakesLoops = true
            }
        }
        if !aftermath.states.isEmpty {
            aftermath.number = state.announcements.reserve()
        }
        return aftermath
    }

    private func connected(_ session: Session, _ state: inout State, _ aftermath: inout Aftermath) {
        state.isConnected = true
        state.connections.connected()
        state.validity.connected(since: state.connections.establishedAfter, timeout: session.timeout)
        state.live?.extend(to: state.validity.validUntil, timeout: state.validity.timeout)
        aftermath.moved = state.live
        state.heartbeat.connected()
        state.requests.isStalled = false
        aftermath.states.append(.connected(session))
    }

    private func suspended(_ session: Session, _ state: inout State, _ aftermath: inout Aftermath) {
        state.isConnected = false
        state.validity.disconnected()
        aftermath.states.append(.suspended(session))
    }

    private func ended(_ session: Session, _ state: inout State, _ aftermath: inout Aftermath) {
        state.isConnected = false
        state.validity = SessionValidity(margin: configuration.validityMargin)
        guard let live = state.live else { return }
        state.live = nil
        aftermath.ended.append((live, .sessionEnded))
        aftermath.lostHolds = state.held.takeHeld().map { ($0, .sessionEnded) }
        // Everything that the session protected ends with it.
        state.held.forgetUsers()
        aftermath.refused += state.requests.takeAll(ofEpoch: live.epoch)
        interruptWatches(&state, &aftermath, kind: .sessionEnded)
        aftermath.states.append(.expired(session))
    }

    private func failed(_ error: ZooKeeperError, _ state: inout State, _ aftermath: inout Aftermath) {
        // Whoever asks after the end learns that the client has stopped: `.operationTimeout` would mean that another try can
        // succeed.
        let ended =
            error.code == .authenticationFailed ? error : ZooKeeperError(.clientStopped, message: error.message)
        state.failure = ended
        state.isConnected = false
        aftermath.refusal = error
        aftermath.refused += state.requests.end(ended)
        // Without a first connection in time, the state stays `connecting` until the client has stopped.
        guard error.code == .authenticationFailed else { return }
        aftermath.states.append(.authenticationFailed(aftermath.ended.first.map { $0.session.publicSession }))
    }

    private func interruptWatches(_ state: inout State, _ aftermath: inout Aftermath, kind: WatchEvent.Kind) {
        aftermath.watchers += state.watches.removeAllWithPaths().map { path, sink in
            (sink, WatchEvent(kind: kind, path: encoder.stripped(path)))
        }
    }

    private func perform(_ aftermath: Aftermath) {
        // Grants end before any observer learns of the state, and before anything new can be granted.
        for (session, reason) in aftermath.ended { session.markGone(reason) }
        for (hold, reason) in aftermath.lostHolds { hold.lose(reason) }
        aftermath.moved?.validityChanged()
        for (sink, event) in aftermath.watchers { sink.fire(event) }
        for request in aftermath.refused { finish(request, .failure(aftermath.refusal)) }
        if !aftermath.states.isEmpty { publish(aftermath.states, number: aftermath.number) }
        if aftermath.wakesLoops {
            pump()
            connectionWakeUp.signal()
            heartbeatWakeUp.signal()
            stopIfDone()
        }
    }

    /// Reports states in the order of the decisions, whichever thread comes first.
    private func publish(_ new: [SessionState], number: Int) {
        state.withLock { core in
            for state in core.announcements.take(new, number: number) { states.enqueue(state) }
        }
        states.deliver()
        for state in new {
            logger(for: state.session).info("ZooKeeper session is \(state.name)")
            metrics.changed("\(state.name)")
        }
    }
}

/// The order of states: each is reported after its side effects, and after the states that were decided before it.
struct Announcements {
    private var lastReserved = 0
    private var last = 0
    /// The states whose side effects are done before those of earlier states.
    private var early: [Int: [SessionState]] = [:]

    /// Returns the number for the states that are decided now.
    mutating func reserve() -> Int {
        lastReserved += 1
        return lastReserved
    }

    /// Adds new states; returns all states that can be reported now.
    mutating func take(_ states: [SessionState], number: Int) -> [SessionState] {
        early[number] = states
        var ready: [SessionState] = []
        while let next = early.removeValue(forKey: last + 1) {
            ready += next
            last += 1
        }
        return ready
    }
}

extension SessionHandle {
    var publicSession: Session { Session(id: id, epoch: epoch, timeout: timeout) }
}

extension WatchEvent {
    init(_ event: TransportWatchEvent, path: String) {
        let kind: Kind =
            switch event.kind {
            case .created: .created
            case .deleted: .deleted
            case .dataChanged: .dataChanged
            case .childrenChanged: .childrenChanged
            case .notWatching: .interrupted
            }
        self.init(kind: kind, path: path)
    }
}
