internal import Logging
public import ServiceLifecycle
internal import Synchronization
internal import ZooKeeper

/// A gate that a processor's events pass through, so that a window can pause the processor.
///
/// The gate is a service: run it after the client and before the processor, or use ``ExclusiveMode/withGate(id:_:)``.
/// While it is open, an event passes with one atomic exchange, one comparison of the clock with a deadline, and another
/// exchange, on memory that other threads do not write. The only requests are the session's heartbeat, a `sync` and a
/// write that changes nothing, every 3/10 of the session timeout.
///
/// ```swift
/// for await event in events {
///     try await gate.withSynchronousPermit { permit in
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
/// closed would wait for the outer one. ``enter(timeout:)``, ``withPermit(timeout:_:)`` and
/// ``withSynchronousPermit(timeout:_:)`` therefore fail with code `.alreadyHeld` inside the operation of a
/// ``withPermit(timeout:_:)``, or of an ``ExclusiveMode/withWindow(id:reason:drain:timeout:_:)`` of the same client and
/// base path, whether or not the gate is open. Child tasks (`async let`, task groups) and tasks started with `Task {}`
/// count as inside until the outer permit is released; a `Task.detached` never does. Permits from ``enter(timeout:)``,
/// ``enterBlocking(timeout:)``, ``tryEnter()`` and `gated(by:)` belong to no task: a task that waits for a second one
/// while it holds such a permit is not detected.
public final class EventGate: Service, Sendable {
    /// The exclusive mode that the gate belongs to.
    public let mode: ExclusiveMode
    /// The name of this processor in ``ExclusiveMode/status()`` and in the records of windows.
    public let id: String

    let core: GateCore
    let logger: Logger
    let member: MemberName
    let counter: EventCounter
    let runOnce = RunOnce()
    let stopping = OneShot<Void>()
    let broadcast = Broadcast<GateState>(.starting)

    init(mode: ExclusiveMode, id: String) {
        self.mode = mode
        self.id = id
        core = GateCore(mode)
        counter = EventCounter(core: core)
        logger = mode.logger
        member = MemberName(for: id, using: mode.client.randomness)
    }

    var clock: any MonotonicClock { core.clock }

    /// The states of the gate: the current state first, then every change in order.
    public var states: AsyncStream<GateState> { broadcast.follow() }

    /// The current state of the gate.
    public var state: GateState { broadcast.current }

    // MARK: Events

    /// Admits an event if the gate is open at this moment.
    ///
    /// - Returns: A permit to release with ``EventPermit/leave()``, or `nil`.
    /// - Complexity: No request and no allocation. A lock is taken only for the first event after the servers have
    ///   confirmed the session and thereby moved the deadline, while the deadline has passed, and if 6 other events that
    ///   the same thread admitted are inside.
    public func tryEnter() -> EventPermit? {
        // Repeated attempts on a closed gate must not be counted, because the gate waits until the count is zero.
        guard core.admitUntil.load(ordering: .relaxed) != GateCore.closed else { return nil }
        let stripe = counter.ownStripe
        let place = stripe.enter()
        let until = core.admitUntil.load(ordering: .sequentiallyConsistent)
        let now = core.clock.now
        guard now.nanoseconds < until || core.renewAdmission(now: now, until: until) else {
            _ = stripe.leave(place)
            return nil
        }
        stripe.note(place, since: now.nanoseconds)
        let token = FencingToken(rawValue: core.token.load(ordering: .relaxed), kind: .shared)
        return EventPermit(fencingToken: token, stripe: stripe, place: place)
    }

    /// Admits an event as soon as the gate is open.
    ///
    /// A graceful shutdown of the surrounding service group ends the wait for a closed gate in the same way as
    /// cancellation: the event has not been processed. While the gate is still open, events enter even during a
    /// shutdown.
    ///
    /// - Parameter timeout: The limit for the wait; `nil` waits without limit. Default: `nil`.
    /// - Returns: A permit to release with ``EventPermit/leave()``.
    /// - Throws: `CancellationError`, also for a graceful shutdown; ``RecipeError`` with code `.timedOut`, `.stopped` or
    ///   `.alreadyHeld`.
    /// - Complexity: Sends no requests.
    public func enter(timeout: Duration? = nil) async throws -> EventPermit {
        try ExclusiveScope.check(mode)
        let deadline = timeout.map { clock.now + $0 }
        while true {
            if let permit = tryEnter() { return permit }
            guard try await waitForOpening(until: deadline) else { throw timedOut(after: timeout) }
        }
    }

    /// Admits an event as soon as the gate is open, and blocks the calling thread until then.
    ///
    /// It is for threads outside of Swift concurrency, such as those of a C library. A wait inside a permit or a window
    /// of the same mode is not detected here: it lasts until the timeout.
    ///
    /// - Parameter timeout: The limit for the wait; `nil` waits without limit. Default: `nil`.
    /// - Returns: A permit to release with ``EventPermit/leave()``.
    /// - Throws: ``RecipeError`` with code `.timedOut`, or `.stopped` if the gate stopped before it opened.
    /// - Complexity: Sends no requests.
    @available(*, noasync, message: "use enter(timeout:), which suspends instead of blocking the thread")
    public func enterBlocking(timeout: Duration? = nil) throws -> EventPermit {
        // A blocked thread waits by the system's clock, whatever the client's clock is.
        let deadline = timeout.map { SystemMonotonicClock().now + $0 }
        while true {
            if let permit = tryEnter() { return permit }
            guard let change = try nextChange() else { continue }
            if change.waitBlocking(until: deadline) == nil { throw timedOut(after: timeout) }
        }
    }

    private func timedOut(after timeout: Duration?) -> RecipeError {
        RecipeError(
            .timedOut, in: .exclusiveMode, path: mode.path,
            message: timeout.map { "the gate did not open within \($0)" })
    }

    /// Runs work that does not suspend inside the gate, as soon as the gate is open.
    ///
    /// This method waits in the same way as ``enter(timeout:)``. The work runs in the calling task, and nothing cancels
    /// it: it should end within ``ExclusiveMode/Configuration/eventAllowance``.
    ///
    /// - Parameters:
    ///   - timeout: The limit for the wait; `nil` waits without limit. Default: `nil`.
    ///   - work: Processes an event with the given permit, which is released when the closure returns.
    /// - Returns: The result of `work`.
    /// - Throws: `CancellationError`; ``RecipeError`` with code `.timedOut`, `.stopped` or `.alreadyHeld`; the error of
    ///   `work`.
    /// - Complexity: Sends no requests.
    public func withSynchronousPermit<Result>(
        timeout: Duration? = nil, _ work: (EventPermit) throws -> Result
    ) async throws -> Result {
        let permit = try await enter(timeout: timeout)
        defer { permit.leave() }
        return try work(permit)
    }

    /// Runs an operation inside the gate, as soon as the gate is open.
    ///
    /// This method waits in the same way as ``enter(timeout:)``. A window waits for the operation. If the permit is
    /// lost meanwhile, the operation's task is cancelled. The part before the operation suspends for the first time runs
    /// on the calling thread, and is not cancelled; long work in that part checks ``EventPermit/isValid``.
    ///
    /// - Parameters:
    ///   - timeout: The limit for the wait; `nil` waits without limit. It does not limit the operation. Default: `nil`.
    ///   - operation: Processes an event with the given permit, which is released when the operation ends. It runs in
    ///     a task of its own, so that the loss of the permit can cancel it.
    /// - Returns: The result of `operation`.
    /// - Throws: `CancellationError`; ``RecipeError`` with code `.timedOut`, `.stopped`, `.alreadyHeld`, or `.lost` if
    ///   the operation ended with an error after the permit was lost; the error of `operation`.
    /// - Complexity: Sends no requests. It starts a task, which
    ///   ``withSynchronousPermit(timeout:_:)`` does not; an operation that suspends costs a few microseconds.
    public func withPermit<Result: Sendable>(
        timeout: Duration? = nil, _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        try await run(try await enter(timeout: timeout), operation)
    }

    /// Runs an operation under a permit, and releases the permit.
    func run<Result: Sendable>(
        _ permit: EventPermit, _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        defer { permit.leave() }
        do {
            return try await runCancellably(permit, operation)
        } catch {
            if !permit.isValid {
                throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, lossReason: core.lossReason)
            }
            throw error
        }
    }

    /// Runs the operation as a task that the gate can cancel, and always waits for that task.
    private func runCancellably<Result: Sendable>(
        _ permit: EventPermit, _ operation: @escaping @Sendable (EventPermit) async throws -> Result
    ) async throws -> Result {
        let scope = ExclusiveScope(.permit, of: mode)
        let isTooLate = Task.isCancelled || core.isTooLate(permit.fencingToken)
        // Runs on this thread until the operation suspends: a change of threads takes longer than most events.
        let task = scope.bind {
            Task.immediate {
                defer { scope.end() }
                if isTooLate { withUnsafeCurrentTask { $0?.cancel() } }
                return try await operation(permit)
            }
        }
        guard scope.isLive else { return try await task.value }
        let id = core.register({ task.cancel() }, under: permit.fencingToken)
        defer { core.deregister(id) }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
