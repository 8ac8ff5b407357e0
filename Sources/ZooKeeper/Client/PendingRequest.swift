internal import Synchronization

/// A request on its way: handed in, perhaps waiting for a connection or its turn, on the wire, answered.
final class PendingRequest: Sendable {
    private enum State {
        case pending
        case waiting(CheckedContinuation<SessionResult?, Never>)
        case observed(@Sendable (SessionResult) -> Void)
        /// `nil`: given up by its task.
        case finished(SessionResult?)
    }

    let request: SessionRequest
    /// The one session it may be sent in; `nil` for whichever there is.
    let epoch: Int?
    /// What is answered on one connection together with this.
    let batch: RequestBatch?
    /// When the request began to count for latency.
    let created: MonotonicInstant
    private let whenAnswered: (@Sendable (SessionResult) -> Void)?
    private let state: Mutex<State>
    private enum Passage { static let waiting: UInt8 = 0, passing: UInt8 = 1, passed: UInt8 = 2 }
    private let passage = Atomic(Passage.waiting)

    /// - Parameters:
    ///   - observer: Called with the result on the thread that finishes the request, before that delivers anything else: known
    ///     from the beginning, because the answer may come while the request is still being handed in.
    ///   - whenAnswered: The same for a request whose result a task waits for, unless that has given it up.
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

    /// Whether it has been handed to a connection, so that it may have been executed.
    var isSent: Bool { passage.load(ordering: .acquiring) != Passage.waiting }

    /// Whether it is being handed to a connection at this moment: what fails now may have been refused at once.
    var isPassing: Bool { passage.load(ordering: .acquiring) == Passage.passing }

    func markSending() {
        passage.store(Passage.passing, ordering: .releasing)
    }

    func markSent() {
        passage.store(Passage.passed, ordering: .releasing)
    }

    var isFinished: Bool {
        state.withLock { if case .finished = $0 { true } else { false } }
    }

    /// Gives the result to whoever waits; later results are ignored.
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
    /// - Throws: `CancellationError` at once when the task is cancelled; the request goes on by itself.
    func value() async throws -> SessionResult {
        let result: SessionResult? = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: SessionResult?? = state.withLock { state in
                    if case .finished(let result) = state { return .some(result) }
                    if Task.isCancelled {
                        state = .finished(nil)
                        return .some(nil)
                    }
                    state = .waiting(continuation)
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            if case .waiting(let continuation) = replace(with: .finished(nil)) { continuation.resume(returning: nil) }
        }
        guard let result else { throw CancellationError() }
        return result
    }

    /// Replaces the state unless it is final, and gives the one before.
    private func replace(with new: State) -> State {
        state.withLock { state in
            let previous = state
            if case .finished = previous { return previous }
            state = new
            return previous
        }
    }
}
