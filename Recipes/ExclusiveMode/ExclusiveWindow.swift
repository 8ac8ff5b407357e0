public import ZooKeeper

/// A window while its operation runs.
public struct ExclusiveWindow: Grant {
    /// The fencing token to pass to the stores that the operation writes to.
    ///
    /// It is greater than the tokens of all processors that paused for this window, and less than those of the
    /// processors after it.
    public let fencingToken: FencingToken
    /// The IDs of the processors that took part and are paused, sorted, as in the names of znodes:
    /// see ``ExclusiveMode/gate(id:)``.
    public let processors: [String]
    /// The IDs of the processors that were evicted because they did not pause.
    ///
    /// The window waited until these processors had to stop.
    public let evicted: [String]
    /// The time from the request until every processor had paused.
    public let drainDuration: Duration
    /// The processor that paused last.
    ///
    /// `nil` if all processors had paused before the window listed them. Also `nil` if the window then waited for
    /// something else, such as the sessions of evicted processors.
    public let slowestProcessor: String?

    let holding: Holding
    let loss: OneShot<LossReason>
    let path: String
    let clock: any MonotonicClock

    /// Whether it is certain that no processor processes events.
    ///
    /// The value is read from memory. It turns false, even without a notification, before the ensemble can end the
    /// window. The operation's task is cancelled at that time.
    ///
    /// - Complexity: Sends no requests.
    public var isValid: Bool { holding.isValid }

    /// The time until which the window is certain to be open, as last observed.
    ///
    /// The time moves forward while the servers confirm the session. The value is `nil` once the window is no longer
    /// open.
    public var validUntil: ContinuousClock.Instant? { holding.validUntil(by: clock) }

    /// The value of ``validUntil``, by the client's clock.
    package var deadline: MonotonicInstant? { isValid ? holding.validUntil : nil }

    /// The paths of the znodes that the window depends on.
    package var paths: [String] { holding.paths }

    /// Waits until the window is lost, which cancels the operation's task.
    ///
    /// A window that ends normally is not lost. In that case this method waits until the task is cancelled.
    ///
    /// - Returns: The reason for the loss.
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: Sends no requests.
    public func waitUntilLost() async throws -> LossReason {
        try await loss.wait()
    }

    /// Executes operations as one transaction that succeeds only while the window is open.
    ///
    /// - Parameter operations: The operations, as for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in the same order.
    /// - Throws: ``RecipeError`` with code `.lost`, in which case nothing was executed; otherwise as
    ///   ``Grant/transaction(_:)``.
    /// - Complexity: 1 request.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        if let results = try await holding.transaction(operations) { return results }
        throw RecipeError(.lost, in: .exclusiveMode, path: path)
    }
}

/// The policy for processors that do not pause.
public struct DrainPolicy: Sendable, Hashable {
    enum Kind: Hashable {
        case wait
        case abort(Duration)
        case evict(Duration)
    }

    let kind: Kind

    /// Waits for all processors without limit.
    public static let wait = DrainPolicy(kind: .wait)

    /// Gives up after a timeout: everything is undone, the processors resume, and the error names those that have not
    /// paused.
    ///
    /// The timeout counts from the request for the window, and must not be negative.
    public static func abort(after timeout: Duration) -> DrainPolicy {
        DrainPolicy(kind: .abort(timeout))
    }

    /// Evicts the processors that have not paused after a timeout, and waits until they must have stopped.
    ///
    /// An eviction deletes the read znode of the processor. From then on, the processor's heartbeats fail, so its
    /// deadline cannot move. The window then waits for the longest session timeout of the evicted processors. If the
    /// window ends during this wait, the next window waits instead. For this purpose the eviction is recorded first,
    /// which takes about 4 requests.
    ///
    /// An event that ignores its cancellation may still run in an evicted processor. Its token is less than the
    /// window's. The timeout counts from the request for the window, and must not be negative.
    public static func evict(after timeout: Duration) -> DrainPolicy {
        DrainPolicy(kind: .evict(timeout))
    }

    var evicts: Bool {
        if case .evict = kind { true } else { false }
    }

    var timeout: Duration? {
        switch kind {
        case .wait: nil
        case .abort(let timeout), .evict(let timeout): timeout
        }
    }
}
