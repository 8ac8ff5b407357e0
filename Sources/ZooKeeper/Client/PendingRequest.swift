internal import Synchronization

/// A request in progress: queued, perhaps waiting for a connection, sent, answered.
final class PendingRequest: Sendable {
    private enum State {
        case pending
        case waiting(CheckedContinuation<SessionResult?, Never>)
        case observed(@Sendable (SessionResult) -> Void)
        /// `nil`: given up by its task.
        case finished(SessionResult?)
    }

    let request: SessionRequest
    /// The epoch of the only session in which it may be sent; `nil` for any session.
    let epoch: Int?
    /// The requests that are answered on the same connection as this one.
    let batch: RequestBatch?
    /// The start of the measurement of its latency.
    let created: MonotonicInstant
    private let whenAnswered: (@Sendable (SessionResult) -> Void)?
    private let state: Mutex<State>
    private enum Passage { static let waiting: UInt8 = 0, passing: UInt8 = 1, passed: UInt8 = 2, withdrawn: UInt8 = 3 }
    private let passage = Atomic(Passage.waiting)

    /// Creates a request.
    ///
    /// - Parameters:
    ///   - observer: Called with the result on the thread that finishes the request, before that thread delivers
    ///     anything else. It is set on creation, because the answer may arrive while the request is still being queued.
    ///   - whenAnswered: The same for a request whose result a task waits for, unless the task has given up.
    init(
        _ request: SessionRequest, epoch: Int?, created: MonotonicInstant, batch: RequestBatch? = nil,
        observer: (@Sendable (SessionResult) -> Void)? = nil,
        whenAnswered: (@Sendable (SessionResult) -> Void)? = nil
    ) {
        self.request = request
        self.epoch = epoch
        self.batch = batch
        self.created = created
        self.whenAnswered = whenAnswered
        state = Mutex(observer.map { .observed($0) } ?? .pending)
    }

    /// Whether it has been passed to a connection, so that it may have been executed.
    var isSent: Bool { [Passage.passing, Passage.passed].contains(passage.load(ordering: .acquiring)) }

    /// Whether it is being passed to a connection at this moment: if it fails now, it may have been refused
    /// immediately.
    var isPassing: Bool { passage.load(ordering: .acquiring) == Passage.passing }

    /// Whether it must not be passed to a connection any more.
    var isWithdrawn: Bool { passage.load(ordering: .acquiring) == Passage.withdrawn }

    /// Withdraws it, unless it has been passed to a connection.
    ///
    /// The caller has the client's lock, under which requests are taken from the queue.
    ///
    /// - Returns: Whether it is withdrawn, so that it is certainly not executed.
    func withdraw() -> Bool {
        if isSent { return false }
        passage.store(Passage.withdrawn, ordering: .releasing)
        return true
    }

    func markSending() {
        passage.store(Passage.passing, ordering: .releasing)
    }

    func markSent() {
        passage.store(Passage.passed, ordering: .releasing)
    }

    var isFinished: Bool {
        state.withLock { if case .finished = $0 { true } else { false } }
    }

    /// Delivers the result to the waiting task or the observer; later results are ignored.
    @discardableResult
    func finish(_ result: SessionResult) -> Bool {
        let previous = replace(with: .finished(result))
        switch previous {
        case .pending: whenAnswered?(result)
        case .waiting(let continuation):
            whenAnswered?(result)
            continuation.resume(returning: result)
        case .observed(let observer): observer(result)
        case .finished: return false
        }
        return true
    }

    /// Waits for the result.
    ///
    /// - Returns: The result.
    /// - Throws: `CancellationError` immediately if the task is cancelled; the request continues.
    func value() async throws -> SessionResult {
        let result = await withTaskCancellationHandler {
            await outcome { Task.isCancelled }
        } onCancel: {
            giveUp()?.resume(returning: nil)
        }
        guard let result else { throw CancellationError() }
        return result
    }

    /// Waits for the result, also in a cancelled task.
    ///
    /// - Returns: The result; `nil` if the request was given up.
    func valueIgnoringCancellation() async -> SessionResult? {
        await outcome { false }
    }

    /// Gives the request up, unless it is finished: a result is ignored from now on.
    ///
    /// - Returns: The continuation of the waiting task, which the caller resumes with `nil`; `nil` if no task waits.
    func giveUp() -> CheckedContinuation<SessionResult?, Never>? {
        guard case .waiting(let continuation) = replace(with: .finished(nil)) else { return nil }
        return continuation
    }

    private func outcome(isCancelled: () -> Bool) async -> SessionResult? {
        await withCheckedContinuation { continuation in
            let immediate: SessionResult?? = state.withLock { state in
                if case .finished(let result) = state { return .some(result) }
                if isCancelled() {
                    state = .finished(nil)
                    return .some(nil)
                }
                state = .waiting(continuation)
                return nil
            }
            if let immediate { continuation.resume(returning: immediate) }
        }
    }

    /// Replaces the state unless it is final, and returns the previous one.
    private func replace(with new: State) -> State {
        state.withLock { state in
            let previous = state
            if case .finished = previous { return previous }
            state = new
            return previous
        }
    }
}
