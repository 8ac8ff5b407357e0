internal import Synchronization
internal import ZooKeeper

/// One time that the gate may be open: from a new read znode, or the end of a signal that it has outlasted, to its loss or a
/// signal.
final class GateGrant: Sendable {
    enum Interrupt: Sendable, Equatable {
        case signalled, stopped
        case lost(LossReason)
    }

    let token: FencingToken
    let hold: HeldNode
    /// Why the gate must close; set by whatever comes first.
    let interrupt = OneShot<Interrupt>()

    init(hold: HeldNode) {
        token = FencingToken(rawValue: hold.czxid.rawValue, kind: .shared)
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
            guard let grant = shared.grant, admitUntil.load(ordering: .sequentiallyConsistent) != Self.closed else {
                return false
            }
            let renewed = admission(of: grant)
            admitUntil.store(renewed, ordering: .sequentiallyConsistent)
            return now.nanoseconds < renewed
        }
    }

    /// Until when a grant admits events; never the number that stands for a shut gate, not even when it is lost.
    private func admission(of grant: GateGrant) -> Int64 {
        max((grant.hold.validUntil - mode.configuration.eventAllowance).nanoseconds, Self.closed + 1)
    }

    /// Takes a grant up without letting anybody in so far.
    func prepare(_ grant: GateGrant) {
        let isKnown = shared.withLock { shared in
            defer { shared.grant = grant }
            token.store(grant.token.rawValue, ordering: .relaxed)
            return shared.grant?.hold === grant.hold
        }
        if isKnown {
            // A loss from here on closes this grant, an earlier one only the one before.
            if let reason = grant.hold.lossReason { close(grant, .lost(reason)) }
        } else {
            // By its token: an observer must not keep alive what it observes.
            grant.hold.onLoss { [weak self, token = grant.token] reason in self?.lost(token, reason) }
        }
        if stopping.value != nil { close(grant, .stopped) }
    }

    private func lost(_ token: FencingToken, _ reason: LossReason) {
        guard let grant = shared.withLock({ $0.grant }), grant.token == token else { return }
        close(grant, .lost(reason))
        cancelInside()
    }

    /// Closes the gate for good; a grant that is prepared after this sees it.
    func stop() {
        stopping.set(())
        if let grant = shared.withLock({ $0.grant }) { close(grant, .stopped) }
    }

    /// Opens the gate, unless something has come in between.
    func open(_ grant: GateGrant) {
        let opening = shared.withLock { shared -> OneShot<Void>? in
            guard shared.grant === grant, grant.interrupt.value == nil else { return nil }
            admitUntil.store(admission(of: grant), ordering: .sequentiallyConsistent)
            return shared.opening
        }
        guard let opening else { return }
        broadcast.send(.open(grant.token))
        opening.set(())
    }

    /// Shuts the gate; on any thread, at once.
    ///
    /// The interrupt comes first: what has not opened the gate by now sees it, and what has is undone by the shutting.
    func close(_ grant: GateGrant, _ interrupt: GateGrant.Interrupt) {
        grant.interrupt.set(interrupt)
        shut(grant)
    }

    func shut(_ grant: GateGrant) {
        shared.withLock { shared in
            guard shared.grant === grant else { return }
            if admitUntil.load(ordering: .relaxed) != Self.closed { shared.opening = OneShot() }
            admitUntil.store(Self.closed, ordering: .sequentiallyConsistent)
        }
        // Who waits for the deadline of an open gate to move waits for the next opening instead.
        grant.hold.session.tellMove()
    }

    /// Cancels the operations that are inside, and those that are about to begin with a permit from before.
    func cancelInside() {
        let tasks = shared.withLock { shared in
            shared.cancelled = shared.grant?.token
            return shared.tasks.orderedValues
        }
        for cancel in tasks { cancel() }
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
        let move = grant.hold.session.nextMove()
        let isShut = admitUntil.load(ordering: .sequentiallyConsistent) == Self.closed
        if isShut || clock.now.nanoseconds < admission(of: grant) { return }
        try await move.waitUntilShutdown()
    }
}
