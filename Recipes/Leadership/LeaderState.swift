/// Where a participant of an election stands.
public enum LeaderState: Sendable, Hashable, CustomStringConvertible {
    /// It waits for its turn.
    ///
    /// `position` is how many stood in front of it when it last looked, which it does only when the one next in front has
    /// gone: there may be fewer by now. `nil` before it is in the queue, as without a connection.
    case waiting(position: Int?)
    /// It leads, in its term of this number, with this token.
    case leading(number: Int, token: FencingToken)
    /// Something went wrong, or terms shorter than ``LeaderConfiguration/minimumTermDuration`` follow one another; it stands
    /// again after a pause.
    case failed(LeadershipFailure)
    /// `run()` has ended.
    case stopped

    /// Whether it leads, as far as the stream of states knows; `isValid` of the ``Term`` is what counts.
    public var isLeading: Bool {
        if case .leading = self { true } else { false }
    }

    /// Whether it waits for its turn.
    public var isWaiting: Bool {
        if case .waiting = self { true } else { false }
    }

    /// What went wrong, while it pauses after that.
    public var failure: LeadershipFailure? {
        if case .failed(let failure) = self { failure } else { nil }
    }

    /// The state in words.
    public var description: String {
        switch self {
        case .waiting(.none): "waiting"
        case .waiting(.some(let position)): "waiting behind \(position)"
        case .leading(let number, let token): "leading, term \(number) with token \(token)"
        case .failed(let failure): "failed: \(failure)"
        case .stopped: "stopped"
        }
    }
}

/// What kept a participant from standing or leading, and when it tries again.
public struct LeadershipFailure: Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, in words: the error of the term's closure, or the ensemble's.
    public var reason: String
    /// Whether the ensemble denies a right (`.noAuth`): somebody has to do something about it.
    public var isForbidden: Bool
    /// Whether nothing failed but terms shorter than ``LeaderConfiguration/minimumTermDuration`` follow one another.
    public var isShortTerm: Bool
    /// After which pause the participant stands for election again, counted from when this was told.
    public var retriesAfter: Duration

    /// Makes a failure, for tests.
    public init(reason: String, isForbidden: Bool = false, isShortTerm: Bool = false, retriesAfter: Duration) {
        self.reason = reason
        self.isForbidden = isForbidden
        self.isShortTerm = isShortTerm
        self.retriesAfter = retriesAfter
    }

    /// The failure in one line.
    public var description: String { "\(reason); stands again after \(retriesAfter)" }
}
