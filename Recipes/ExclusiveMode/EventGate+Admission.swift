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

    var session: SessionHandle { hold.session }
}

extension EventGate {
    /// Creates a grant for a read znode; it admits no events yet.
    func prepare(_ hold: HeldNode) -> GateGrant {
        let token = FencingToken(rawValue: hold.czxid.rawValue, kind: .shared)
        let (grant, isKnown) = core.shared.withLock { shared in
            let (number, interrupt) = shared.admission.prepare(token)
            let grant = GateGrant(number, token: token, hold: hold)
            // No task waits for the interrupt yet.
            if let interrupt { grant.interrupt.set(interrupt) }
            defer { shared.grant = grant }
            core.token.store(token.rawValue, ordering: .relaxed)
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
        let (actions, effects) = core.shared.withLock { shared in
            let actions = shared.admission.handle(input)
            return (actions, actions.compactMap { begin($0, &shared) })
        }
        for effect in effects { effect() }
        return actions
    }

    /// Opens or closes the gate; returns the part that resumes tasks or calls other code, which must run without the
    /// lock.
    private func begin(_ action: GateAdmission.Action, _ shared: inout GateCore.Shared) -> (() -> Void)? {
        guard let grant = shared.grant else { return nil }
        switch action {
        case .open:
            core.admitUntil.store(core.admission(of: grant), ordering: .sequentiallyConsistent)
            return { [broadcast, opening = shared.opening] in
                broadcast.send(.open(grant.token))
                opening.set(())
            }
        case .close(let interrupt):
            let wasOpen =
                core.admitUntil.exchange(GateCore.closed, ordering: .sequentiallyConsistent) != GateCore.closed
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

    /// Waits until the gate opens, or until the deadline of an open gate may have moved.
    ///
    /// - Returns: Whether that happened before the deadline.
    /// - Throws: `CancellationError`, also if a graceful shutdown of the surrounding service group is triggered
    ///   meanwhile; ``RecipeError`` with code `.stopped`.
    func waitForOpening(until deadline: MonotonicInstant?) async throws -> Bool {
        guard let change = try nextChange() else { return true }
        guard let deadline else {
            try await change.waitUntilShutdown()
            return true
        }
        return try await clock.run(until: deadline) { try await change.waitUntilShutdown() } != nil
    }

    /// Returns the event after which a caller that was refused should try again; `nil` if it should try at once.
    ///
    /// - Throws: ``RecipeError`` with code `.stopped`.
    func nextChange() throws(RecipeError) -> OneShot<Void>? {
        let (opening, grant, isStopped) = core.shared.withLock { ($0.opening, $0.grant, $0.isStopped) }
        if isStopped { throw RecipeError(.stopped, in: .exclusiveMode, path: mode.path) }
        guard opening.value != nil, let grant else { return opening }
        // The gate is open, but the session has been unconfirmed for so long that no event may start. A confirmation or
        // the loss is near.
        let move = grant.hold.session.nextValidityChange()
        let isClosed = core.admitUntil.load(ordering: .sequentiallyConsistent) == GateCore.closed
        return isClosed || clock.now.nanoseconds < core.admission(of: grant) ? nil : move
    }
}
