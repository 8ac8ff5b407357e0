/// The state of a participant in an election.
public enum LeaderState: Sendable, Hashable, CustomStringConvertible {
    /// The participant waits for its turn.
    ///
    /// `position` is the number of participants ahead in the queue when this participant last listed it. It lists the
    /// queue only when the participant directly ahead has left, so the current number may be lower. `position` is `nil`
    /// if the participant is not in the queue yet, for example without a connection.
    case waiting(position: Int?)
    /// The participant leads, in the term with this number and this fencing token.
    case leading(number: Int, token: FencingToken)
    /// The participant pauses before it rejoins the election.
    ///
    /// Either something failed, or several terms in a row were shorter than
    /// ``LeaderConfiguration/minimumTermDuration``.
    case failed(ElectionFailure)
    /// `run()` has ended.
    case stopped

    /// Whether the participant leads, according to the stream of states.
    ///
    /// Only `isValid` of the ``Term`` is authoritative.
    public var isLeading: Bool {
        if case .leading = self { true } else { false }
    }

    /// Whether the participant waits for its turn.
    public var isWaiting: Bool {
        if case .waiting = self { true } else { false }
    }

    /// The failure, while the participant pauses after it; otherwise `nil`.
    public var failure: ElectionFailure? {
        if case .failed(let failure) = self { failure } else { nil }
    }

    /// A description of the state in words.
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

/// The reason why a participant cannot join the election or lead, and when it tries again.
public struct ElectionFailure: Sendable, Hashable, CustomStringConvertible {
    /// A description of the failure: the error of the term's closure or of the ensemble.
    public var reason: String
    /// Whether the ensemble denies a permission (`.noAuth`), which an operator has to grant.
    public var isUnauthorized: Bool
    /// Whether nothing failed, but several terms in a row were shorter than
    /// ``LeaderConfiguration/minimumTermDuration``.
    public var isShortTerm: Bool
    /// The pause before the participant rejoins the election, counted from the moment this failure was reported.
    public var retryDelay: Duration

    /// Creates a failure, for tests.
    ///
    /// - Parameters:
    ///   - reason: A description of the failure.
    ///   - isUnauthorized: Whether the ensemble denies a permission. Default: `false`.
    ///   - isShortTerm: Whether nothing failed, but several terms in a row were too short. Default: `false`.
    ///   - retryDelay: The pause before the participant rejoins the election.
    public init(reason: String, isUnauthorized: Bool = false, isShortTerm: Bool = false, retryDelay: Duration) {
        self.reason = reason
        self.isUnauthorized = isUnauthorized
        self.isShortTerm = isShortTerm
        self.retryDelay = retryDelay
    }

    /// A description of the failure in one line.
    public var description: String { "\(reason); it rejoins after \(retryDelay)" }
}
