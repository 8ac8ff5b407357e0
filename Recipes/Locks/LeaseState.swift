public import ZooKeeper

/// Where a lock that was granted stands.
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

    /// Granted, and not known to be lost.
    public var isHeld: Bool { kind == .held || isAtRisk }
    /// Held, but it will be lost at ``atRiskUntil`` unless the session is proved before.
    ///
    /// The connection is lost, or stands again and has proved nothing yet, or the ensemble is silent for longer than it
    /// should be. What takes time should not be begun, and what can be saved should be.
    public var isAtRisk: Bool { atRiskUntil != nil }
    /// Lost while it was held; the body is being cancelled.
    public var isLost: Bool { lossReason != nil }
    /// Given up; the znode is being deleted, which is repeated until it has succeeded or the session has ended.
    ///
    /// Others wait as long as this lasts.
    public var isReleasing: Bool { kind == .releasing }
    /// Given up, and the znode is deleted.
    public var isReleased: Bool { kind == .released }
    /// Given up, and the znode has gone with its session.
    public var isSessionEnded: Bool { kind == .sessionEnded }

    /// When the lock will be lost, while ``isAtRisk``.
    public var atRiskUntil: ContinuousClock.Instant? {
        if case .atRisk(let until) = kind { until } else { nil }
    }

    /// Why it was lost, while ``isLost``.
    public var lossReason: LossReason? {
        if case .lost(let reason) = kind { reason } else { nil }
    }

    /// The state's name.
    public var description: String { "\(kind)" }
}
