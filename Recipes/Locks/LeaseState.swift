public import ZooKeeper

/// The state of a lock that was acquired.
public enum LeaseState: Sendable, Hashable {
    /// The lock is held.
    case held
    /// The lock is held, but will be lost at the given time unless the session is confirmed before.
    ///
    /// The connection is lost, or it was restored and the session is not yet confirmed, or the ensemble has been silent
    /// for longer than expected. The holder should not start long operations, and should save its work.
    case atRisk(until: ContinuousClock.Instant)
    /// The lock was lost while it was held; its body is being cancelled.
    case lost(LossReason)
    /// The lock was released and its znode is being deleted.
    ///
    /// The deletion is retried until it succeeds or the session has ended. Waiting participants keep waiting until
    /// then.
    case releasing
    /// The lock was released and its znode is deleted.
    case released
    /// The lock was released and its znode was deleted with its session.
    case sessionEnded

    /// Whether the lock was acquired and is not known to be lost: ``held`` or ``atRisk(until:)``.
    public var isHeld: Bool { self == .held || isAtRisk }
    /// Whether the state is ``atRisk(until:)``.
    public var isAtRisk: Bool { atRiskUntil != nil }
    /// Whether the state is ``lost(_:)``.
    public var isLost: Bool { lossReason != nil }

    /// The time at which the lock will be lost; `nil` unless ``isAtRisk`` is true.
    public var atRiskUntil: ContinuousClock.Instant? { if case .atRisk(let until) = self { until } else { nil } }

    /// The reason for the loss; `nil` unless ``isLost`` is true.
    public var lossReason: LossReason? { if case .lost(let reason) = self { reason } else { nil } }
}
