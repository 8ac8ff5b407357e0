internal import Synchronization
internal import ZooKeeper

/// One time that the gate may be open: from a new read znode, or the end of a signal that it has outlasted, to its loss or a
/// signal.
final class GateGrant: Sendable {
    let number: Int
    let token: FencingToken
    let hold: HeldNode
    /// Why the gate must close, as ``GateAdmission`` has decided.
    let interrupt = OneShot<GateAdmission.Interrupt>()

    init(_ number: Int, token: FencingToken, hold: HeldNode) {
        self.number = number
        self.token = token
        self.hold = hold
    }

    var session: LiveSession { hold.session }
}

extension EventGate {
    /// The deadline that was admitted until has passed: looks whether the session's proofs have moved it.
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

    /// Until when a grant admits events; never the number that stands for a shut gate, not even when it is lost.
    private func admission(of grant: GateGrant) -> Int64 {
        max((grant.hold.validUntil - mode.configuration.eventAllowance).nanoseconds, Self.closed + 1)
    }

    /// Makes a grant of a read znode, without letting anybody in so far.
    func prepare(_ hold: HeldNode) -> GateGrant {
        let token = FencingToken(rawValue: hold.czxid.rawValue, kind: .shared)
        let (grant, isKnown) = shared.withLock { shared in
            let (number, interrupt) = shared.admission.prepare(token)
            let grant = GateGrant(number, token: token, hold: hold)
            // Nobody waits for it so far.
            if let interrupt { grant.interrupt.set(interrupt) }
            defer { shared.grant = grant }
            self.token.store(token.rawValue, ordering: .relaxed)
            return (grant, shared.grant?.hold === hold)
        }
        if isKnown {
            // A loss from here on closes this grant, an earlier one only the one before.
            if let reason = hold.lossReason { handle(.lost(token, reason)) }
        } else {
            // By its token: an observer must not keep alive what it observes.
            hold.onLoss { [weak self] reason in self?.handle(.lost(token, reason)) }
        }
        return grant
    }

    /// Closes the gate for good.
    func stop(cancelsInside: Bool = false) {
        stopping.set(())
        handle(.stop(cancelsInside: cancelsInside))
    }

    /// Tells the admission what has happened, and does what it decides; on any thread, at once.
    @discardableResult
    func handle(_ input: GateAdmission.Input) -> [GateAdmission.Action] {
        let (actions, effects) = shared.withLock { shared in
            let actions = shared.admission.handle(input)
            return (actions, actions.compactMap { begin($0, &shared) })
        }
        for effect in effects { effect() }
        return actions
    }

    /// Opens or closes the gate; gives what resumes or calls somebody, which is not done with the lock.
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
                // Who waits for the deadline of an open gate to move waits for the next opening instead.
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

    /// Waits until the gate opens, or the deadline of an open gate may have moved.
    ///
    /// - Throws: `CancellationError`, also if a graceful shutdown of the surrounding service group is triggered meanwhile.
    func waitForOpening() async throws {
        let (opening, grant) = try shared.withLock { shared in
            if shared.isStopped { throw RecipeError(.stopped, in: .exclusiveMode, path: mode.path) }
            return (shared.opening, shared.grant)
        }
        guard opening.value != nil, let grant else { return try await opening.waitUntilShutdown() }
        // Open, and without a proof for so long that no event may begin: the next proof or the loss is near.
        let move = grant.hold.session.nextValidityChange()
        let isShut = admitUntil.load(ordering: .sequentiallyConsistent) == Self.closed
        if isShut || clock.now.nanoseconds < admission(of: grant) { return }
        try await move.waitUntilShutdown()
    }
}
