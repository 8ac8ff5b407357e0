internal import Synchronization
internal import ZooKeeperTransport

/// One session of a client, from the time when it is granted to its end; recipes are built on it.
///
/// A request is sent in this session or not at all. Its results cannot be confused with those of a later session.
package final class SessionHandle: Sendable {
    package let id: SessionID
    package let epoch: Int
    private let core: ClientCore
    private let timeoutNanoseconds: Atomic<Int64>
    private let validNanoseconds = Atomic(MonotonicInstant.distantPast.nanoseconds)
    private let end = OneShot<LossReason>()
    private let gone = Atomic(false)
    /// The signal for the waiters for a validity change; only read if there is a waiter.
    private let move = Mutex<OneShot<Void>?>(nil)
    private let isMoveAwaited = Atomic(false)
    /// The latest unfinished clean-up for each path of a znode with a shared name.
    private let owned = Mutex<[ZNodeName: OneShot<Void>]>([:])

    init(_ session: Session, core: ClientCore) {
        id = session.id
        epoch = session.epoch
        timeoutNanoseconds = Atomic(session.timeout.nanoseconds)
        self.core = core
    }

    /// The negotiated timeout.
    package var timeout: Duration { .nanoseconds(timeoutNanoseconds.load(ordering: .relaxed)) }

    /// The time until which the session is guaranteed to be alive; in the past after it has ended.
    package var validUntil: MonotonicInstant {
        MonotonicInstant(nanoseconds: validNanoseconds.load(ordering: .acquiring))
    }

    /// The reason why the session ended; `nil` before its end.
    package var endReason: LossReason? { end.value }

    /// Whether nothing can be granted in the session any more: it has expired, or the client is closing.
    package var hasEnded: Bool { end.value != nil }

    /// Whether the ensemble has no znodes of the session left that could be deleted: it has expired or is being closed.
    ///
    /// The session of a closing client stays alive until every holder has released what it holds.
    package var isGone: Bool { gone.load(ordering: .acquiring) }

    /// Waits for the end of the session.
    ///
    /// - Returns: The reason why the session ended.
    /// - Throws: `CancellationError` if the task is cancelled.
    package func waitForEnd() async throws -> LossReason {
        try await end.wait()
    }

    /// Sends requests in one batch: in this order, without waiting in between, and answered in this order.
    ///
    /// While the connection is lost, they wait for the next one. If the session ends first, they fail with
    /// `.sessionExpired`. No request is repeated.
    ///
    /// - Returns: One result per request.
    /// - Throws: `CancellationError` if the task is cancelled. Requests that were sent before may still be executed.
    /// - Complexity: One request for each element, in 1 round trip.
    package func sendAll(_ requests: SessionRequest...) async throws -> [SessionResult] {
        try await sendAll(requests)
    }

    /// Sends requests as one batch: all of them are answered on one connection, or fail.
    ///
    /// - Parameters:
    ///   - batch: An earlier batch that the requests become a part of; `nil` starts a new batch.
    ///   - whileClosing: Whether a closing client sends them as well.
    /// - Returns: One result per request.
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: One request for each element, in 1 round trip.
    package func sendAll(
        _ requests: [SessionRequest], batch: RequestBatch? = nil, whileClosing: Bool = false
    ) async throws -> [SessionResult] {
        let pending = core.submit(requests, epoch: epoch, batch: batch, whileClosing: whileClosing)
        var results: [SessionResult] = []
        results.reserveCapacity(pending.count)
        for request in pending { results.append(try await request.value()) }
        return results
    }

    /// Sends one request in this session, and returns its reply.
    ///
    /// - Throws: ``ZooKeeperError``, or `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    package func send(_ request: SessionRequest) async throws -> SessionReply {
        try await sendAll(request)[0].get()
    }

    /// Sends one request in this session, unless the task is cancelled before the request is sent.
    ///
    /// A cancellation withdraws a request that waits for the connection or its turn. Once the request is sent, a
    /// cancellation does not end the wait for its reply.
    ///
    /// - Parameter ignoredCancellation: Set if the task is cancelled after the request was sent.
    /// - Throws: ``ZooKeeperError``; `CancellationError`, in which case the request was not sent and never will be.
    /// - Complexity: 1 request in 1 round trip.
    package func sendUnlessCancelled(
        _ request: SessionRequest, ignoredCancellation: OneShot<Void>
    ) async throws -> SessionReply {
        try Task.checkCancellation()
        let core = core
        let pending = core.submit([request], epoch: epoch)[0]
        let result = await withTaskCancellationHandler {
            await pending.valueIgnoringCancellation()
        } onCancel: {
            core.withdraw(pending)
            if pending.isSent { ignoredCancellation.set(()) }
        }
        guard let result else { throw CancellationError() }
        return try result.get()
    }

    /// Sends one request in this session, and calls a closure with its result before anything else is delivered.
    ///
    /// - Parameter whenAnswered: Called with the result; not called if the task has been cancelled first.
    /// - Throws: ``ZooKeeperError``, or `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    package func send(
        _ request: SessionRequest, whenAnswered: @escaping @Sendable (SessionResult) -> Void
    ) async throws -> SessionReply {
        try await core.submit([request], epoch: epoch, whenAnswered: whenAnswered)[0].value().get()
    }

    /// Sends a request, and calls a closure with the result on the delivering thread.
    ///
    /// The result is delivered before everything that the server sends after the answer, such as the event of a watch
    /// that the request has set.
    ///
    /// - Parameters:
    ///   - batch: Other requests that are answered on the same connection.
    ///   - completion: Called with the result.
    package func post(
        _ request: SessionRequest, batch: RequestBatch? = nil,
        completion: @escaping @Sendable (SessionResult) -> Void = { _ in }
    ) {
        core.post(request, epoch: epoch, batch: batch, completion: completion)
    }

    /// Calls a closure after a short pause, to retry something that failed without being sent.
    ///
    /// The closure is called on the thread of the heartbeats, and must not block. If the client stops first, it is not
    /// called.
    package func retryLater(_ retry: @escaping @Sendable () -> Void) {
        core.retryLater(retry)
    }

    /// Calls a closure after a pause, like ``retryLater(_:)``.
    package func call(after delay: Duration, _ call: @escaping @Sendable () -> Void) {
        core.call(after: delay, call)
    }

    /// Monitors a znode of this session for as long as a grant depends on it.
    ///
    /// - Parameters:
    ///   - path: The path of the znode, which was seen to exist in this session.
    ///   - czxid: The transaction that created the znode.
    ///   - batch: The batch whose first answer has shown that the znode exists. A task may run long after that answer,
    ///     and evidence for the session received in between is no evidence for the znode. Without a batch, call this
    ///     method on the thread that delivers the answer.
    ///   - delay: The time to wait before the znode is watched; a release within this time saves a request. Until the
    ///     watch is set, a deletion by another client is not noticed, and the validity is not extended beyond its
    ///     current end. Default: zero.
    /// - Returns: The held znode.
    /// - Complexity: 1 request in the background, and a part of the session's heartbeat: a `sync` and a transaction of
    ///   checks every 3/10 of the timeout.
    package func hold(
        _ path: String, czxid: ZXID, seenBy batch: RequestBatch? = nil, watchingAfter delay: Duration = .zero
    ) -> HeldNode {
        core.hold(
            path, czxid: czxid, session: self, sureUntil: batch?.sureUntil ?? validUntil,
            watchDue: core.clock.now + delay)
    }

    /// Makes a closing client wait until the returned node is released.
    ///
    /// Call this method before a transaction that also creates a persistent znode: the client can then undo it before
    /// its session is closed. It sends nothing.
    package func reserve(_ path: String) -> HeldNode {
        core.reserve(path, session: self)
    }

    /// Deletes znodes of this session, retrying until they are gone or the session has ended, even if the caller is
    /// cancelled.
    ///
    /// Clean-ups of the same znode with a shared name run one after the other.
    ///
    /// - Parameter answered: A signal that fires on completion, or earlier if the server refuses a deletion, for example
    ///   for lack of permission. A wait that has to end at some time waits for this signal.
    /// - Returns: A signal that fires on completion.
    @discardableResult
    package func cleanUp(_ job: CleanUp, answered: OneShot<Void> = OneShot()) -> OneShot<Void> {
        let done = OneShot<Void>()
        guard case .owned(let path, _) = job else {
            core.cleanUp(Janitor.Job(work: job, session: self, done: done, answered: answered))
            return done
        }
        let before = owned.withLock { owned in
            defer { owned[path] = done }
            return owned[path]
        }
        core.cleanUp(Janitor.Job(work: job, session: self, after: before, done: done, answered: answered))
        done.observe { [self] in
            owned.withLock { if $0[path] === done { $0[path] = nil } }
        }
        return done
    }

    /// The unfinished deletion of a znode with a shared name in this session.
    ///
    /// A znode that is created before the deletion is complete may be deleted by it.
    package func pendingCleanUp(of path: String) -> OneShot<Void>? {
        owned.withLock { $0[path] }
    }

    /// Deletes znodes of this session, and waits for completion while there is a connection.
    ///
    /// If the connection is lost or the server refuses the deletion, the method returns, and the deletion continues in
    /// the background. A cancellation of the calling task does not end the wait.
    ///
    /// - Parameter held: A held znode, for whose release a closing client waits until the deletion is answered.
    package func cleanUpWhileConnected(_ job: CleanUp, releasing held: HeldNode? = nil) async {
        let answered = OneShot<Void>()
        cleanUp(job, answered: answered)
        held?.release(after: answered)
        let core = core
        await Task {
            await race(
                { _ = try? await answered.wait() },
                { for await state in core.states.follow() where !state.isConnected { return } })
        }.value
    }

    /// Sets the validity; the caller must call ``validityChanged()`` after it has released its lock.
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

    /// Returns a signal that fires when the validity of the session, or of something held in it, may have changed.
    ///
    /// To miss no change, first get the signal, then check the validity, then wait for the signal.
    package func nextValidityChange() -> OneShot<Void> {
        move.withLock { move in
            let next = move ?? OneShot()
            move = next
            isMoveAwaited.store(true, ordering: .sequentiallyConsistent)
            return next
        }
    }

    /// Wakes all waiters for ``nextValidityChange()``.
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

/// One of the two kinds of watches of a znode.
package enum WatchedKind: Sendable { case data, children }

extension WatchedKind {
    var transport: TransportWatchKind { self == .data ? .data : .children }
}

/// The reason why a grant was lost.
public struct LossReason: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable { case znodeDeleted, sessionEnded, deadlinePassed, notWatched, clientStopped }

    let kind: Kind

    /// The held znode was deleted by another client.
    public static let znodeDeleted = LossReason(kind: .znodeDeleted)
    /// The session expired, and its ephemeral znodes were deleted.
    public static let sessionEnded = LossReason(kind: .sessionEnded)
    /// The ensemble has not confirmed the session for so long that it may have granted the same to another client.
    public static let deadlinePassed = LossReason(kind: .deadlinePassed)
    /// The held znode could not be watched, so its deletion by another client would not have been noticed in time.
    ///
    /// The session is still alive. Either it has too many watches, see
    /// ``ZooKeeperClientConfiguration/maximumPacketSize``, or the ACL of the znode does not allow its creator to read
    /// it.
    public static let notWatched = LossReason(kind: .notWatched)
    /// The client was stopped while something was held.
    public static let clientStopped = LossReason(kind: .clientStopped)

    /// The name of the reason.
    public var description: String { "\(kind)" }
}
