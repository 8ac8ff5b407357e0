public import ZooKeeper

/// Where a gate stands.
public enum GateState: Sendable, Hashable, CustomStringConvertible {
    /// No session, or not asked for the first time.
    case starting
    /// Events pass, with this token.
    case open(FencingToken)
    /// A window is wanted: no event comes in any more, those inside finish.
    ///
    /// If the window is given up before they have, the gate is open again, with the same token.
    case draining
    /// A window is open, or wanted by somebody; this processor has acknowledged.
    case paused
    /// The last window crashed; the gate waits a while before it opens.
    case recovering
    /// The permission was lost; the gate joins again when those inside have left.
    case lost(LossReason)
    /// `run()` has ended.
    case stopped

    /// The state's name.
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

    /// Whether events pass.
    public var isOpen: Bool {
        if case .open = self { true } else { false }
    }
}
