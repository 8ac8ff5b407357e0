public import Foundation
public import ZooKeeperRecipes

/// Where a node stands that runs a ``ScheduledTask``.
public enum ScheduledTaskState: Sendable, Hashable, CustomStringConvertible {
    /// Another node has the schedule, or nobody yet; `position` is how many stand in front of this one, as far as is known.
    case standby(position: Int?)
    /// This node's wall clock is too far from the ensemble's: it does not take the schedule, and looks again later.
    case refused(ClockSkew)
    /// This node has the schedule and waits for the next period.
    case waiting(next: Date?)
    /// This node runs the task.
    case running(period: String, attempt: Int)
    /// This node has the schedule, which is paused.
    case paused(TaskWishes.Pause)
    /// This node has the schedule; a run whose runner died waits for an operator's decision.
    case awaitingOperator(period: String)
    /// Something went wrong with the election; this node stands again after a pause.
    case failed(LeadershipFailure)
    /// `run()` has ended.
    case stopped

    /// The state in words.
    public var description: String {
        switch self {
        case .standby(.none): "standby"
        case .standby(.some(let position)): "standby behind \(position)"
        case .refused(let skew): "refused: the wall clock is \(skew)"
        case .waiting(.none): "waiting"
        case .waiting(.some(let next)): "waiting for \(UniversalTime.text(next))"
        case .running(let period, let attempt): "running \(period), attempt \(attempt)"
        case .paused(let pause): "paused: \(pause.note)"
        case .awaitingOperator(let period): "awaiting an operator's decision about \(period)"
        case .failed(let failure): "failed: \(failure)"
        case .stopped: "stopped"
        }
    }
}
