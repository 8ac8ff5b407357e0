internal import Synchronization
public import ZooKeeper

/// What a lock's body is given: how long it holds, and by which right.
///
/// It is worth something while the body runs. Kept longer, it tells what became of the lock.
public final class Lease: Sendable {
    let place: LockPlace
    private let hasEnded = Atomic(false)

    init(_ place: LockPlace) {
        self.place = place
    }

    /// Whether the lock is surely held at this moment.
    ///
    /// Also right in the first instruction after the process was stopped for a while, and when the own server is cut off
    /// from the others, as long as clocks run at the same rate within the client's validity margin.
    /// - Complexity: One clock read and a comparison; nothing is sent.
    public var isValid: Bool { !hasEnded.load(ordering: .acquiring) && place.isValid }

    /// Until when the lock is surely held, as far as is known now; moves on while the session is proved.
    ///
    /// `nil` when it is not held any more.
    public var validUntil: ContinuousClock.Instant? {
        guard isValid else { return nil }
        return place.client.clock.continuousInstant(place.validUntil)
    }

    /// The number to hand to what is written to under the lock: it grows with each grant that excludes an earlier one.
    ///
    /// Read locks that are held together may have the same one. A downgrade keeps it.
    public var fencingToken: FencingToken { place.token }

    /// Waits until the lock is lost.
    ///
    /// A lock that is given up in order is not lost: then this waits for ever, or until the task is cancelled.
    /// - Throws: `CancellationError` when the task is cancelled.
    public var lost: LossReason {
        get async throws { try await place.loss.wait() }
    }

    /// Where the lock stands: the current state first, then every change; ends when nothing can change any more.
    public var states: AsyncStream<LeaseState> { place.states.follow() }

    /// Where the lock stands now.
    public var state: LeaseState { place.states.current }

    /// The body has ended.
    func finish() {
        hasEnded.store(true, ordering: .releasing)
    }
}

/// Where a lock that was granted stands.
public struct LeaseState: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable { case held, lost(LossReason), releasing, released, sessionEnded }

    let kind: Kind

    static let held = LeaseState(kind: .held)
    static func lost(_ reason: LossReason) -> LeaseState { LeaseState(kind: .lost(reason)) }
    static let releasing = LeaseState(kind: .releasing)
    static let released = LeaseState(kind: .released)
    static let sessionEnded = LeaseState(kind: .sessionEnded)

    /// Granted, and not known to be lost.
    public var isHeld: Bool { kind == .held }
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

    /// Why it was lost, while ``isLost``.
    public var lossReason: LossReason? {
        if case .lost(let reason) = kind { reason } else { nil }
    }

    /// The state's name.
    public var description: String { "\(kind)" }
}
