internal import Logging
public import ServiceLifecycle
internal import Synchronization
internal import ZooKeeper

/// A gate that a processor's events pass through, so that a window can pause the processor.
///
/// The gate is a service: run it after the client and before the processor. While it is open, an event passes with one
/// atomic addition, one comparison of the clock with a deadline, and one atomic subtraction. The only requests are the
/// session's heartbeat, a `sync` and a write that changes nothing, every 3/10 of the session timeout.
///
/// ```swift
/// for await event in events {
///     try await gate.withPermit { permit in
///         try store.write(event, token: permit.fencingToken)
///     }
/// }
/// ```
///
/// If a window is requested, the gate closes, the events inside finish, and the deletion of the gate's znode
/// acknowledges the pause. If the window ends before that, the gate opens again at once, however long an event inside
/// takes. If the ensemble has not confirmed the session for so long that it could end the session, the gate closes by
/// itself. It then cancels the events inside, waits for them, and rejoins. One gate serves all tasks of a process.
///
/// A permit inside a permit could deadlock: the inner one would wait for the gate, and the window that keeps the gate
/// closed would wait for the outer one. ``enter()`` and `withPermit` therefore fail with code `.alreadyHeld` inside the
/// operation of a `withPermit`, or of an ``ExclusiveMode/withWindow(id:reason:drain:timeout:_:)`` of the same client
/// and base path, whether or not the gate is open. Child tasks (`async let`, task groups) and tasks started with
/// `Task {}` count as inside until the outer permit is released; a `Task.detached` never does. Permits from
/// ``enter()``, ``tryEnter()`` and `gated(by:)` belong to no task: a task that waits for a second one while it holds
/// such a permit is not detected.
public final class EventGate: Service, Sendable {
    /// The exclusive mode that the gate belongs to.
    public let mode: ExclusiveMode
    /// The name of the processor, for display to operators.
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
    /// The time until which events are admitted, in nanoseconds of the clock; ``closed`` while the gate is closed.
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

    /// The states of the gate: the current state first, then every change in order.
    public var states: AsyncStream<GateState> { broadcast.follow() }

    /// The current state of the gate.
    public var state: GateState { broadcast.current }

    // MARK: Events

    /// Admits an event if the gate is open at this moment.
    ///
    /// - Returns: A permit to release with ``EventPermit/leave()``, or `nil`.
    /// - Complexity: No request and no allocation. A lock is taken only for the first event after the servers have
    ///   confirmed the session and thereby moved the deadline, and while the deadline has passed.
    public func tryEnter() -> EventPermit? {
        // Repeated attempts on a closed gate must not be counted, because the gate waits until the count is zero.
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

    /// Admits an event as soon as the gate is open.
    ///
    /// A graceful shutdown of the surrounding service group ends the wait for a closed gate in the same way as
    /// cancellation: the event has not been processed. While the gate is still open, events enter even during a
    /// shutdown.
    ///
    /// - Returns: A permit to release with ``EventPermit/leave()``.
    /// - Throws: `CancellationError`, also for a graceful shutdown; ``RecipeError`` with code `.stopped` or
    ///   `.alreadyHeld`.
    /// - Complexity: Sends no requests.
    public func enter() async throws -> EventPermit {
        try ExclusiveScope.check(mode)
        while true {
            if let permit = tryEnter() { return permit }
            try await waitForOpening()
        }
    }

    /// Runs work that does not suspend inside the gate, as soon as the gate is open.
    ///
    /// This method waits in the same way as ``enter()``.
    ///
    /// - Parameter work: Processes an event with the given permit, which is released when the closure returns.
    /// - Returns: The result of `work`.
    /// - Throws: `CancellationError`; ``RecipeError`` with code `.stopped` or `.alreadyHeld`; the error of `work`.
    /// - Complexity: Sends no requests.
    public func withPermit<Result>(_ work: (EventPermit) throws -> Result) async throws -> Result {
        let permit = try await enter()
        defer { permit.leave() }
        return try work(permit)
    }

    /// Runs an operation inside the gate, as soon as the gate is open.
    ///
    /// This method waits in the same way as ``enter()``. A window waits for the operation. If the permit is lost
    /// meanwhile, the operation's task is cancelled.
    ///
    /// - Parameter operation: Processes an event with the given permit. It runs in its own task, which is cancelled if
    ///   the permit is lost. The task costs about 1 µs more than work that does not suspend.
    /// - Returns: The result of `operation`.
    /// - Throws: `CancellationError`; ``RecipeError`` with code `.stopped`, `.alreadyHeld`, or `.lost` if the operation
    ///   ended with an error after the permit was lost; the error of `operation`.
    /// - Complexity: Sends no requests.
    public func withPermit<Result: Sendable>(
        _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        try await run(try await enter(), operation)
    }

    /// Runs an operation under a permit, and releases the permit.
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

    /// Runs the operation as a task that the gate can cancel, and always waits for that task.
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
