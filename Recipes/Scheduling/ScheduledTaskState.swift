public import ZooKeeper
public import ZooKeeperRecipes

/// The state of a node that runs a ``ScheduledTask``.
public enum ScheduledTaskState: Sendable, Hashable, CustomStringConvertible {
    /// Another node leads, or none yet.
    ///
    /// `position` is the number of participants ahead of this one; `nil` if it is unknown.
    case standby(position: Int?)
    /// This node does not lead, because its wall clock differs too much from the ensemble's.
    ///
    /// It checks again later.
    case clockSkew(ClockSkew)
    /// This node leads and waits for the next period; `next` is `nil` if there is none.
    case waiting(next: Timestamp?)
    /// This node runs the task.
    case running(period: String, attempt: Int)
    /// This node leads, and an operator or a failed run has paused the task.
    case paused(OperatorCommands.Pause)
    /// This node leads, and a run whose node died waits for an operator's decision.
    case awaitingOperator(period: String)
    /// The election or the comparison of the clocks failed; this node tries again after a pause.
    case failed(ElectionFailure)
    /// `run()` has ended.
    case stopped

    /// The state in words.
    public var description: String {
        switch self {
        case .standby(.none): "standby"
        case .standby(.some(let position)): "standby behind \(position)"
        case .clockSkew(let skew): "refused: the wall clock is \(skew)"
        case .waiting(.none): "waiting"
        case .waiting(.some(let next)): "waiting for \(next.secondsText)"
        case .running(let period, let attempt): "running \(period), attempt \(attempt)"
        case .paused(let pause): "paused: \(pause.reason)"
        case .awaitingOperator(let period): "awaiting an operator's decision about \(period)"
        case .failed(let failure): "failed: \(failure)"
        case .stopped: "stopped"
        }
    }
}
