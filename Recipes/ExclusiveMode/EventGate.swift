internal import Logging
public import ServiceLifecycle
internal import Synchronization
internal import ZooKeeper

/// What a processor's events pass through, so that a window can stop them.
///
/// The gate is a service: run it after the client and before the processor. While it is open an event passes with one
/// atomic addition, one comparison of the clock with a deadline and one atomic subtraction, and no request is made but
/// the session's heartbeat, a `sync` and a proof, every 3/10 of the session timeout.
///
/// ```swift
/// for await event in events {
///     try await gate.withPermit { permit in
///         try store.write(event, token: permit.fencingToken)
///     }
/// }
/// ```
///
/// When a window is wanted the gate closes, events inside finish, and deleting the gate's znode acknowledges it. If the
/// window is given up before that, the gate opens again at once, however long an event inside takes. When the
/// ensemble has not confirmed the session for so long that it could give this processor up, the gate closes by itself,
/// cancels what is inside, waits for it, and joins again. One gate serves all tasks of a process.
///
/// A permit inside a permit could wait for itself: the inner one for the gate, and the window, which keeps the gate shut,
/// for the outer one. ``enter()`` and `withPermit` therefore fail with code `.alreadyHeld` inside the operation of a
/// `withPermit` or of an ``ExclusiveMode/withWindow(id:reason:drain:timeout:_:)`` of the same client and base path,
/// whether or not the gate is open. Child tasks (`async let`, task groups) and tasks started with `Task {}` count as inside
/// until the outer permit has been given back; a `Task.detached` never does. Permits from ``enter()``, ``tryEnter()`` and
/// `gated(by:)` belong to no task: a task that waits for a second one while it holds such a permit is not detected.
public final class EventGate: Service, Sendable {
    /// What the gate belongs to.
    public let mode: ExclusiveMode
    /// What operators see.
    public let name: String

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

    let clock: any MonotonicClock
    let logger: Logger
    let member: MemberName
    let counter = StripedCounter()
    /// Until when events are admitted, in nanoseconds of the clock; ``closed`` while the gate is shut.
    let admitUntil = Atomic<Int64>(EventGate.closed)
    let token = Atomic<Int64>(0)
    let shared = Mutex(Shared())
    let drainWakeUp = WakeUp()
    let runOnce = RunOnce()
    let stopping = OneShot<Void>()
    let broadcast = Broadcast<GateState>(.starting)

    init(mode: ExclusiveMode, name: String) {
        self.mode = mode
        self.name = name
        clock = mode.client.clock
        logger = mode.logger
        member = MemberName(for: name, using: mode.client.randomness)
    }

    /// Where the gate stands: the current state first, then every change in order.
    public var states: AsyncStream<GateState> { broadcast.follow() }

    /// Where the gate stands now.
    public var state: GateState { broadcast.current }

    // MARK: Events

    /// Lets an event in if the gate is open at this instant.
    ///
    /// - Returns: A permit to give back with ``EventPermit/leave()``, or `nil`.
    /// - Complexity: No request and no allocation; a lock only for the first event after the session's proof has moved the
    ///   deadline, and while the deadline has passed.
    public func tryEnter() -> EventPermit? {
        // Those who try a shut gate over and over must not be counted: the gate waits for zero.
        guard admitUntil.load(ordering: .relaxed) != Self.closed else { return nil }
        let stripe = StripedCounter.stripeOfThread()
        let wasEmpty = counter.enter(stripe)
        let until = admitUntil.load(ordering: .sequentiallyConsistent)
        let now = clock.now
        guard now.nanoseconds < until || renewAdmission(now: now, until: until) else {
            leave(stripe)
            return nil
        }
        if wasEmpty { counter.noteBusy(stripe, since: now.nanoseconds) }
        return EventPermit(
            fencingToken: FencingToken(rawValue: token.load(ordering: .relaxed), kind: .shared), gate: self,
            stripe: stripe)
    }

    /// Lets an event in as soon as the gate is open.
    ///
    /// A graceful shutdown of the surrounding service group ends the wait for a shut gate, as a cancellation does: the event
    /// has not been processed. While the gate is still open, events enter also during a shutdown.
    ///
    /// - Returns: A permit to give back with ``EventPermit/leave()``.
    /// - Throws: `CancellationError`, or ``RecipeError`` with code `.stopped` or `.alreadyHeld`.
    public func enter() async throws -> EventPermit {
        try ExclusiveScope.check(mode)
        while true {
            if let permit = tryEnter() { return permit }
            try await waitForOpening()
        }
    }

    /// Runs work that does not suspend inside the gate, as soon as it is open.
    ///
    /// Waits as ``enter()`` does.
    ///
    /// - Throws: `CancellationError`, ``RecipeError`` with code `.stopped` or `.alreadyHeld`, or the error of `work`.
    public func withPermit<Result>(_ work: (EventPermit) throws -> Result) async throws -> Result {
        let permit = try await enter()
        defer { permit.leave() }
        return try work(permit)
    }

    /// Runs an operation inside the gate, as soon as it is open.
    ///
    /// Waits as ``enter()`` does. A window waits for the operation. When the permission is lost meanwhile, the operation's
    /// task is cancelled.
    ///
    /// - Parameter operation: Processes an event; it runs in a task of its own, so that losing the permission can
    ///   cancel it, which costs about a microsecond more than work that does not suspend.
    /// - Throws: `CancellationError`, ``RecipeError`` with code `.stopped`, `.alreadyHeld`, or `.lost` when the
    ///   operation ended with an error after the permission was lost, or the error of `operation`.
    public func withPermit<Result: Sendable>(
        _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        try await run(try await enter(), operation)
    }

    /// Runs an operation under a permit, and gives the permit back.
    func run<Result: Sendable>(
        _ permit: EventPermit, _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        let scope = ExclusiveScope(.permit, of: mode)
        defer {
            scope.end()
            permit.leave()
        }
        do {
            return try await runCancellably(permit, scope, operation)
        } catch {
            if !permit.isValid { throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, reason: lossReason) }
            throw error
        }
    }

    /// The operation runs as a task that the gate can cancel and that is awaited here, whatever happens.
    private func runCancellably<Result: Sendable>(
        _ permit: EventPermit, _ scope: ExclusiveScope,
        _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        let task = scope.bind { Task { try await operation(permit) } }
        let (id, isTooLate) = shared.withLock { shared in
            shared.nextTask += 1
            shared.tasks[shared.nextTask] = { task.cancel() }
            return (shared.nextTask, shared.admission.cancelled == permit.fencingToken)
        }
        defer { shared.withLock { _ = $0.tasks.removeValue(forKey: id) } }
        if isTooLate || !permit.isValid { task.cancel() }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }

    @inline(__always)
    func leave(_ stripe: Int) {
        counter.leave(stripe)
        if admitUntil.load(ordering: .sequentiallyConsistent) == Self.closed { noteLeftWhileClosed() }
    }

    func isValid(_ token: FencingToken) -> Bool {
        shared.withLock { $0.grant }.map { $0.token == token && $0.hold.isValid } ?? false
    }
}
