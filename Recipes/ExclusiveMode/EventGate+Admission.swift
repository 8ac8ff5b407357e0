internal import Synchronization
internal import ZooKeeper

/// A period during which the gate may be open.
///
/// It starts with a new read znode, or at the end of a signal during which the read znode was kept. It ends with the
/// loss of the read znode or with the next signal.
final class GateGrant: Sendable {
    let number: Int
    let token: FencingToken
    let hold: HeldNode
    /// The reason why the gate must close, as determined by ``GateAdmission``.
    let interrupt = OneShot<GateAdmission.Interrupt>()

    init(_ number: Int, token: FencingToken, hold: HeldNode) {
        self.number = number
        self.token = token
        self.hold = hold
    }

    var session: LiveSession { hold.session }
}

extension EventGate {
    /// Checks whether the servers' confirmations of the session have moved the deadline, after the known one has
    /// passed.
    ///
    /// - Returns: Whether the event may enter.
    func renewAdmission(now: MonotonicInstant, until: Int64) -> Bool {
        guard until != Self.closed else { return false }
        return shared.withLock { shared in
            guard let grant = shared.grant, shared.admission.isOpen else { return false }
            let renewed = admission(of: grant)
            admitUntil.store(renewed, ordering: .sequentiallyConsistent)
            return now.nanoseconds < renewed
        }
    }

    /// Returns the time until which a grant admits events; never the value that means closed, not even for a lost
    /// grant.
    private func admission(of grant: GateGrant) -> Int64 {
        max((grant.hold.validUntil - mode.configuration.eventAllowance).nanoseconds, Self.closed + 1)
    }

    /// Creates a grant for a read znode; it admits no events yet.
    func prepare(_ hold: HeldNode) -> GateGrant {
        let token = FencingToken(rawValue: hold.czxid.rawValue, kind: .shared)
        let (grant, isKnown) = shared.withLock { shared in
            let (number, interrupt) = shared.admission.prepare(token)
            let grant = GateGrant(number, token: token, hold: hold)
            // No task waits for the interrupt yet.
            if let interrupt { grant.interrupt.set(interrupt) }
            defer { shared.grant = grant }
            self.token.store(token.rawValue, ordering: .relaxed)
            return (grant, shared.grant?.hold === hold)
        }
        if isKnown {
            // A loss from now on closes this grant; an earlier loss closed only the previous grant.
            if let reason = hold.lossReason { handle(.lost(token, reason)) }
        } else {
            // Passes the token, not the grant: an observer must not retain the object that it observes.
            hold.onLoss { [weak self] reason in self?.handle(.lost(token, reason)) }
        }
        return grant
    }

    /// Closes the gate permanently.
    func stop(cancelsInside: Bool = false) {
        stopping.set(())
        handle(.stop(cancelsInside: cancelsInside))
    }

    /// Passes an event to the admission state machine and executes its actions, immediately on the calling thread.
    @discardableResult
    func handle(_ input: GateAdmission.Input) -> [GateAdmission.Action] {
        let (actions, effects) = shared.withLock { shared in
            let actions = shared.admission.handle(input)
            return (actions, actions.compactMap { begin($0, &shared) })
        }
        for effect in effects { effect() }
        return actions
    }

    /// Opens or closes the gate; returns the part that resumes tasks or calls other code, which must run without the
    /// lock.
    private func begin(_ action: GateAdmission.Action, _ shared: inout Shared) -> (() -> Void)? {
        guard let grant = shared.grant else { return nil }
        switch action {
        case .open:
            admitUntil.store(admission(of: grant), ordering: .sequentiallyConsistent)
            return { [broadcast, opening = shared.opening] in
                broadcast.send(.open(grant.token))
                opening.set(())
            }
        case .close(let interrupt):
            let wasOpen = admitUntil.exchange(Self.closed, ordering: .sequentiallyConsistent) != Self.closed
            if wasOpen { shared.opening = OneShot() }
            return {
                grant.interrupt.set(interrupt)
                // Tasks that wait for the deadline of an open gate to move must wait for the next opening instead.
                grant.session.validityChanged()
            }
        case .cancelInside:
            return { [tasks = shared.tasks.orderedValues] in for cancel in tasks { cancel() } }
        }
    }

    func noteLeftWhileClosed() {
        if counter.total == 0 { drainWakeUp.signal() }
    }

    var lossReason: LossReason? { shared.withLock { $0.grant?.hold.lossReason } }

    /// Waits until the gate opens, or until the deadline of an open gate may have moved.
    ///
    /// - Throws: `CancellationError`, also if a graceful shutdown of the surrounding service group is triggered
    ///   meanwhile; ``RecipeError`` with code `.stopped`.
    func waitForOpening() async throws {
        let (opening, grant) = try shared.withLock { shared in
            if shared.isStopped { throw RecipeError(.stopped, in: .exclusiveMode, path: mode.path) }
            return (shared.opening, shared.grant)
        }
        guard opening.value != nil, let grant else { return try await opening.waitUntilShutdown() }
        // The gate is open, but the session has been unconfirmed for so long that no event may start. A confirmation or
        // the loss is near.
        let move = grant.hold.session.nextValidityChange()
        let isShut = admitUntil.load(ordering: .sequentiallyConsistent) == Self.closed
        if isShut || clock.now.nanoseconds < admission(of: grant) { return }
        try await move.waitUntilShutdown()
    }
}
