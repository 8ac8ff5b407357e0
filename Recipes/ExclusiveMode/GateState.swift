public import ZooKeeper

/// The state of a gate.
public enum GateState: Sendable, Hashable, CustomStringConvertible {
    /// The gate has no session, or has not checked for a window yet.
    case starting
    /// The gate admits events, with this token.
    case open(FencingToken)
    /// A window is requested, or a hold began: the gate admits no more events, and those inside finish.
    ///
    /// If the pause ends before they have finished, the gate opens again with the same token.
    case draining
    /// A window is requested or open, or there is a hold, and this processor has acknowledged the pause.
    case paused
    /// The last window crashed; the gate waits for the resume delay before it opens.
    case recovering
    /// The permission to admit events was lost; the gate rejoins when the events inside have ended.
    case lost(LossReason)
    /// `run()` has ended.
    case stopped

    /// The name of the state, with its token or reason.
    public var description: String {
        switch self {
        case .starting: "starting"
        case .open(let token): "open with token \(token)"
        case .draining: "draining"
        case .paused: "paused"
        case .recovering: "recovering"
        case .lost(let reason): "lost: \(reason)"
        case .stopped: "stopped"
        }
    }

    /// Whether the gate admits events.
    public var isOpen: Bool {
        if case .open = self { true } else { false }
    }
}
