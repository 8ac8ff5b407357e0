public import ZooKeeper

/// A window while its operation runs.
public struct ExclusiveWindow: Grant {
    /// Higher than the tokens of all processors that paused for this window, lower than those that come after it.
    public let fencingToken: FencingToken
    /// The processors that were there and are paused, by name, sorted.
    public let participants: [String]
    /// The processors whose place was taken away because they did not pause; waited for until they had to stop.
    public let evicted: [String]
    /// From the request until every processor had paused.
    public let drained: Duration
    /// The processor that paused last.
    ///
    /// `nil` if all had paused before the window listed them, or if it then waited for something else, such as the sessions of
    /// evicted processors.
    public let slowest: String?

    let holding: Holding
    let loss: OneShot<LossReason>
    let path: String
    let clock: any MonotonicClock

    /// Whether no processor can be processing; from memory.
    ///
    /// Turns false, with no notice needed, before the ensemble can end the window. The operation's task is cancelled then.
    public var isValid: Bool { holding.isValid }

    /// Until when the window surely stands, as far as is known now; moved while the session is proved.
    ///
    /// `nil` when it does not stand any more.
    public var validUntil: ContinuousClock.Instant? { holding.validUntil(by: clock) }

    /// ``validUntil`` by the client's clock.
    package var deadline: MonotonicInstant? { isValid ? holding.validUntil : nil }

    /// The znodes that it stands on.
    package var paths: [String] { holding.paths }

    /// Waits until the window is lost, which cancels the operation's task; one that ends in order is not lost.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public func waitUntilLost() async throws -> LossReason {
        try await loss.wait()
    }

    /// Executes operations as one transaction that succeeds only while the window stands.
    ///
    /// - Throws: ``RecipeError`` with code `.lost`, and nothing has happened; else as ``Grant/guarded(_:)``.
    /// - Complexity: One request.
    public func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        if let results = try await holding.guarded(operations) { return results }
        throw RecipeError(.lost, in: .exclusiveMode, path: path)
    }
}

/// What to do about processors that do not pause.
public struct DrainPolicy: Sendable, Hashable {
    enum Kind: Hashable {
        case wait
        case abort(Duration)
        case proceed(Duration)
    }

    let kind: Kind

    /// Wait for them, however long it takes.
    public static let wait = DrainPolicy(kind: .wait)

    /// Give up after a time: everything is undone, the processors resume, and the error names who has not paused.
    public static func abort(after patience: Duration) -> DrainPolicy {
        DrainPolicy(kind: .abort(patience))
    }

    /// After a time, take the place of those who have not paused away, and wait until they must have stopped.
    ///
    /// Their read znode is deleted, so that their proof of the session fails from then on and their deadline cannot move;
    /// then their session timeout is waited for. Should this window end meanwhile, the next one waits in its place: that
    /// places are taken away is recorded first, which costs about four requests. A processor whose event does not heed
    /// cancellation may still be at it: its token is lower than the window's.
    public static func proceed(after patience: Duration) -> DrainPolicy {
        DrainPolicy(kind: .proceed(patience))
    }

    var evicts: Bool {
        if case .proceed = kind { true } else { false }
    }

    var patience: Duration? {
        switch kind {
        case .wait: nil
        case .abort(let patience), .proceed(let patience): patience
        }
    }
}
