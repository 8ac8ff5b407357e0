public import ZooKeeper

/// The state of a lock that was acquired.
public struct LeaseState: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable {
        case held, atRisk(until: ContinuousClock.Instant), lost(LossReason), releasing, released, sessionEnded
    }

    let kind: Kind

    static let held = LeaseState(kind: .held)
    static func atRisk(until: ContinuousClock.Instant) -> LeaseState { LeaseState(kind: .atRisk(until: until)) }
    static func lost(_ reason: LossReason) -> LeaseState { LeaseState(kind: .lost(reason)) }
    static let releasing = LeaseState(kind: .releasing)
    static let released = LeaseState(kind: .released)
    static let sessionEnded = LeaseState(kind: .sessionEnded)

    /// Whether the lock was acquired and is not known to be lost.
    public var isHeld: Bool { kind == .held || isAtRisk }
    /// Whether the lock is held but will be lost at ``atRiskUntil`` unless the session is confirmed before.
    ///
    /// The connection is lost, or it was restored and the session is not yet confirmed, or the ensemble has been silent
    /// for longer than expected. The holder should not start long operations, and should save its work.
    public var isAtRisk: Bool { atRiskUntil != nil }
    /// Whether the lock was lost while it was held; its body is being cancelled.
    public var isLost: Bool { lossReason != nil }
    /// Whether the lock was released and its znode is being deleted.
    ///
    /// The deletion is retried until it succeeds or the session has ended. Waiting participants keep waiting until
    /// then.
    public var isReleasing: Bool { kind == .releasing }
    /// Whether the lock was released and its znode is deleted.
    public var isReleased: Bool { kind == .released }
    /// Whether the lock was released and its znode was deleted with its session.
    public var isSessionEnded: Bool { kind == .sessionEnded }

    /// The time at which the lock will be lost; `nil` unless ``isAtRisk`` is true.
    public var atRiskUntil: ContinuousClock.Instant? {
        if case .atRisk(let until) = kind { until } else { nil }
    }

    /// The reason for the loss; `nil` unless ``isLost`` is true.
    public var lossReason: LossReason? {
        if case .lost(let reason) = kind { reason } else { nil }
    }

    /// The name of the state.
    public var description: String { "\(kind)" }
}
