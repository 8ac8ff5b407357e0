internal import Synchronization
internal import ZooKeeperTransport

/// One session of a client, from its grant to its end: what recipes build on.
///
/// Requests go out in this session or not at all; nothing that belongs to it can be mistaken for a later one's.
package final class LiveSession: Sendable {
    package let id: SessionID
    package let epoch: Int
    private let core: ClientCore
    private let timeoutNanoseconds: Atomic<Int64>
    private let validNanoseconds = Atomic(MonotonicInstant.distantPast.nanoseconds)
    private let end = OneShot<LossReason>()
    private let gone = Atomic(false)
    /// Who waits for the validity to move; looked at only when there is somebody.
    private let move = Mutex<OneShot<Void>?>(nil)
    private let isMoveAwaited = Atomic(false)
    /// The newest clean-up of each znode of a shared name that is not done.
    private let owned = Mutex<[ZNodeName: OneShot<Void>]>([:])

    init(_ session: Session, core: ClientCore) {
        id = session.id
        epoch = session.epoch
        timeoutNanoseconds = Atomic(session.timeout.nanoseconds)
        self.core = core
    }

    /// The negotiated timeout.
    package var timeout: Duration { .nanoseconds(timeoutNanoseconds.load(ordering: .relaxed)) }

    /// Until when the session surely lives; in the past once it has ended.
    package var validUntil: MonotonicInstant {
        MonotonicInstant(nanoseconds: validNanoseconds.load(ordering: .acquiring))
    }

    /// Why the session ended, once it has.
    package var endReason: LossReason? { end.value }

    /// Whether nothing can be granted in it any more: it has expired, or the client is to end.
    package var hasEnded: Bool { end.value != nil }

    /// Whether nothing is left of it at the ensemble that could be deleted: it has expired or is being closed.
    ///
    /// A session of a client that is to end lives on until every holder has let go.
    package var isGone: Bool { gone.load(ordering: .acquiring) }

    /// Waits for the session's end.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    package func waitForEnd() async throws -> LossReason {
        try await end.wait()
    }

    /// Sends requests in one flight: in this order, without waiting in between, answered in this order.
    ///
    /// While the connection is lost they wait for it; when the session ends first they fail with `.sessionExpired`.
    /// Nothing is repeated.
    ///
    /// - Returns: One result a request.
    /// - Throws: `CancellationError` when the task is cancelled. What was on the wire may happen all the same.
    package func flight(_ requests: SessionRequest...) async throws -> [SessionResult] {
        try await flight(requests)
    }

    /// Sends requests as one batch: all of them are answered on one connection, or fail.
    ///
    /// - Parameters:
    ///   - batch: Makes them part of an earlier batch.
    ///   - whileClosing: Whether a closing client sends them as well.
    package func flight(
        _ requests: [SessionRequest], batch: RequestBatch? = nil, whileClosing: Bool = false
    ) async throws -> [SessionResult] {
        let pending = core.submit(requests, epoch: epoch, batch: batch, whileClosing: whileClosing)
        var results: [SessionResult] = []
        results.reserveCapacity(pending.count)
        for request in pending { results.append(try await request.value()) }
        return results
    }

    /// Sends one request in this session.
    ///
    /// - Throws: ``ZooKeeperError``, or `CancellationError`.
    package func send(_ request: SessionRequest) async throws -> SessionReply {
        try await flight(request)[0].get()
    }

    /// Sends one request in this session, and calls a closure with its result before anything else is delivered.
    ///
    /// - Parameter whenAnswered: Not called if the task has been cancelled first.
    /// - Throws: ``ZooKeeperError``, or `CancellationError`.
    package func send(
        _ request: SessionRequest, whenAnswered: @escaping @Sendable (SessionResult) -> Void
    ) async throws -> SessionReply {
        try await core.submit([request], epoch: epoch, whenAnswered: whenAnswered)[0].value().get()
    }

    /// Sends a request and calls a closure with the result, on the delivering thread.
    ///
    /// What the server tells after the answer, such as the event of a watch that the request has set, is delivered after it.
    ///
    /// - Parameter batch: Other requests that are answered on the same connection.
    package func post(
        _ request: SessionRequest, batch: RequestBatch? = nil,
        completion: @escaping @Sendable (SessionResult) -> Void = { _ in }
    ) {
        core.post(request, epoch: epoch, batch: batch, completion: completion)
    }

    /// Calls a closure after a short pause, to try again what failed without being sent; not at all if the client stops.
    ///
    /// The closure is called on the thread of the heartbeats: it must not block.
    package func retryLater(_ retry: @escaping @Sendable () -> Void) {
        core.retryLater(retry)
    }

    /// Watches over an own znode, for as long as something is granted by it.
    ///
    /// - Parameters:
    ///   - path: The znode, which was seen to exist in this session.
    ///   - czxid: The transaction that created it.
    ///   - batch: The requests whose first answer has shown it. A task may run long after that answer: what the session
    ///     has proved meanwhile says nothing of the znode. Without a batch, call this on the thread that delivers the answer.
    ///   - delay: How long to wait before the znode is watched: what is released sooner has saved a request. Until then
    ///     its deletion by somebody else is not noticed; the validity does not grow beyond what is sure now.
    /// - Complexity: One request in the background, and a part of the session's heartbeat, a `sync` and a proof, every 3/10 of
    ///   the timeout.
    package func hold(
        _ path: String, czxid: ZXID, seenBy batch: RequestBatch? = nil, watchingAfter delay: Duration = .zero
    ) -> HeldNode {
        core.hold(
            path, czxid: czxid, session: self, sureUntil: batch?.sureUntil ?? validUntil,
            watchDue: core.clock.now + delay)
    }

    /// Makes a closing client wait until the returned node is released.
    ///
    /// Reserve before a transaction that also creates a persistent znode: the client can then undo it before its session is
    /// closed. Nothing is sent.
    package func reserve(_ path: String) -> HeldNode {
        core.reserve(path, session: self)
    }

    /// Has own znodes deleted, for certain: repeated until done or the session is gone, whatever becomes of the caller.
    ///
    /// Those of one znode of a shared name follow one another.
    ///
    /// - Returns: Something that happens when it is done.
    @discardableResult
    package func cleanUp(_ job: CleanUp) -> OneShot<Void> {
        let done = OneShot<Void>()
        guard case .owned(let path, _) = job else {
            core.cleanUp(job, session: self, after: nil, done: done)
            return done
        }
        let before = owned.withLock { owned in
            defer { owned[path] = done }
            return owned[path]
        }
        core.cleanUp(job, session: self, after: before, done: done)
        done.observe { [self] in
            owned.withLock { if $0[path] === done { $0[path] = nil } }
        }
        return done
    }

    /// The deletion of a znode of a shared name that is due in this session: what is created before it is done may go
    /// with it.
    package func pendingCleanUp(of path: String) -> OneShot<Void>? {
        owned.withLock { $0[path] }
    }

    /// Has own znodes deleted, and waits for it as long as the connection stands; after that it goes on by itself.
    ///
    /// The wait is not ended by the cancellation of the calling task.
    ///
    /// - Parameter held: What is released when it is done.
    package func cleanUpWhileConnected(_ job: CleanUp, releasing held: HeldNode? = nil) async {
        let done = cleanUp(job)
        held?.release(after: done)
        let core = core
        await Task {
            await race(
                { _ = try? await done.wait() },
                { for await state in core.states.follow() where !state.isConnected { return } })
        }.value
    }

    /// Moves the validity; the caller calls ``validityChanged()`` when it has left its lock.
    func extend(to instant: MonotonicInstant, timeout: Duration) {
        guard !hasEnded else { return }
        validNanoseconds.store(instant.nanoseconds, ordering: .releasing)
        timeoutNanoseconds.store(timeout.nanoseconds, ordering: .relaxed)
    }

    func markGone(_ reason: LossReason) {
        gone.store(true, ordering: .releasing)
        markEnded(reason)
    }

    func markEnded(_ reason: LossReason) {
        validNanoseconds.store(MonotonicInstant.distantPast.nanoseconds, ordering: .releasing)
        end.set(reason)
        validityChanged()
    }

    /// Something that happens when the validity of the session, or of something held in it, may have changed.
    ///
    /// Ask for it first, then look, then wait: nothing is missed that way.
    package func nextValidityChange() -> OneShot<Void> {
        move.withLock { move in
            let next = move ?? OneShot()
            move = next
            isMoveAwaited.store(true, ordering: .sequentiallyConsistent)
            return next
        }
    }

    /// Wakes who waits for ``nextValidityChange()``.
    package func validityChanged() {
        guard isMoveAwaited.load(ordering: .sequentiallyConsistent) else { return }
        let waiting = move.withLock { move in
            defer { move = nil }
            isMoveAwaited.store(false, ordering: .sequentiallyConsistent)
            return move
        }
        waiting?.set(())
    }
}

/// Which of a znode's two watches is meant.
package enum WatchedKind: Sendable { case data, children }

extension WatchedKind {
    var transport: TransportWatchKind { self == .data ? .data : .children }
}

/// Why something that was held is not held any more.
public struct LossReason: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable { case znodeDeleted, sessionEnded, deadlinePassed, notWatched, clientStopped }

    let kind: Kind

    /// The own znode was deleted, by somebody else.
    public static let znodeDeleted = LossReason(kind: .znodeDeleted)
    /// The session expired, and the znode with it.
    public static let sessionEnded = LossReason(kind: .sessionEnded)
    /// The ensemble has not confirmed the session for so long that it may have given the grant away.
    public static let deadlinePassed = LossReason(kind: .deadlinePassed)
    /// The own znode could not be watched, so that its deletion by somebody else would not have been noticed in time.
    ///
    /// The session lives. Either the session has too many watches, see
    /// ``ZooKeeperClientConfiguration/maximumPacketSize``, or the znode's ACL does not let its creator read it.
    public static let notWatched = LossReason(kind: .notWatched)
    /// The client was stopped while something was held.
    public static let clientStopped = LossReason(kind: .clientStopped)

    /// The reason's name.
    public var description: String { "\(kind)" }
}
