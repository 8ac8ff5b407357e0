internal import Synchronization
internal import ZooKeeper

/// The state of a gate that its permits need: until when it admits events, and under which grant.
///
/// A permit refers to this object through its ``EventStripe``, and not to the gate. All threads would otherwise count
/// their references to one object.
final class GateCore: Sendable {
    static let closed = Int64.min

    struct Shared {
        var admission = GateAdmission()
        var grant: GateGrant?
        /// Set when the gate opens, and replaced when it closes.
        var opening = OneShot<Void>()
        var isStopped = false
        var nextTask = 0
        var tasks: [Int: @Sendable () -> Void] = [:]
    }

    let mode: ExclusiveMode
    let clock: any MonotonicClock
    /// The time until which events are admitted, in nanoseconds of the clock; ``closed`` while the gate is closed.
    let admitUntil = Atomic<Int64>(GateCore.closed)
    let token = Atomic<Int64>(0)
    let shared = Mutex(Shared())
    /// Signalled for each event that ends while the gate is closed.
    let drainWakeUp = WakeUp()

    init(_ mode: ExclusiveMode) {
        self.mode = mode
        clock = mode.client.clock
    }

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
    func admission(of grant: GateGrant) -> Int64 {
        max((grant.hold.validUntil - mode.configuration.eventAllowance).nanoseconds, Self.closed + 1)
    }

    /// Returns the znode that permits with a token depend on; `nil` if the gate has a grant with another token.
    func hold(for token: FencingToken) -> HeldNode? {
        shared.withLock { $0.grant }.flatMap { $0.token == token ? $0.hold : nil }
    }

    var lossReason: LossReason? { shared.withLock { $0.grant?.hold.lossReason } }

    // MARK: Operations inside

    /// Whether an operation under a token must be cancelled from the start.
    func isTooLate(_ token: FencingToken) -> Bool {
        let (isCancelled, grant) = shared.withLock { ($0.admission.cancelled == token, $0.grant) }
        guard !isCancelled, let grant, grant.token == token else { return true }
        return !grant.hold.isValid
    }

    /// Records how to cancel an operation; if it is already too late, cancels it immediately.
    ///
    /// - Returns: A number for ``deregister(_:)``.
    func register(_ cancel: @escaping @Sendable () -> Void, under token: FencingToken) -> Int {
        let id = shared.withLock { shared in
            shared.nextTask += 1
            shared.tasks[shared.nextTask] = cancel
            return shared.nextTask
        }
        if isTooLate(token) { cancel() }
        return id
    }

    func deregister(_ id: Int) {
        shared.withLock { _ = $0.tasks.removeValue(forKey: id) }
    }
}
