internal import Synchronization
public import ZooKeeper

/// One period of leadership, from taking office to its end.
///
/// The term is valid while its closure runs. An instance that is kept longer reports that the term has ended.
public final class Term: Grant {
    /// The number of this term among the terms of this participant, starting at 1.
    public let number: Int
    /// The fencing token of the term, which grows with each term of the election.
    ///
    /// Pass it to every system that the leader writes to. The token is the ID of the transaction that took office, not
    /// of the one that created the candidate znode, because a transferred term does not follow the order of the queue.
    public let fencingToken: FencingToken

    /// The path of the candidate znode with which this participant leads.
    public var znodePath: String { held.path }

    /// The reason why the term was lost, or `nil` if it was not lost.
    package var lossReason: LossReason? { held.lossReason }

    let path: String
    let held: HeldNode
    let candidate: ContenderName
    /// The time since when the participant has waited for the term.
    let requested: MonotonicInstant
    private let clock: any MonotonicClock
    private let hasEnded = Atomic(false)
    /// Set when the leader or its program wants the term to end.
    let ending = OneShot<Ending>()
    /// Set when the closure must return, whatever grace period it has.
    let mustReturn = OneShot<Void>()
    /// Set when the closure has returned and the candidate znode is deleted, or its deletion is no longer waited for.
    let over = OneShot<Void>()

    /// The reason why a leader ends its own term.
    enum Ending: Sendable, Hashable {
        /// The leader resigned or transferred its leadership.
        case resigned
        /// The program is shutting down gracefully.
        case shutdown
        /// The task was cancelled.
        case cancelled
    }

    init(number: Int, token: FencingToken, path: String, grant: Contender.Grant, clock: any MonotonicClock) {
        self.number = number
        fencingToken = token
        self.path = path
        held = grant.held
        candidate = grant.name
        requested = grant.requested
        self.clock = clock
    }

    /// Whether this participant is certain to lead at this moment.
    ///
    /// The value is also correct in the first instruction after the process was suspended, and while the connected
    /// server is partitioned from the rest of the ensemble. This assumes that clocks run at the same rate within the
    /// client's `validityMargin`.
    /// - Complexity: One clock read and one comparison. Sends no requests.
    public var isValid: Bool { !hasEnded.load(ordering: .acquiring) && held.isValid }

    /// The instant until which this participant is certain to lead, as last observed.
    ///
    /// The instant moves forward while the servers confirm the session. The value is `nil` once the participant no
    /// longer leads.
    public var validUntil: ContinuousClock.Instant? {
        hasEnded.load(ordering: .acquiring) ? nil : Holding([held]).validUntil(by: clock)
    }

    /// Waits until the term is lost.
    ///
    /// A term that its leader ends is not lost. In that case, this property waits without limit, or until the task is
    /// cancelled.
    /// - Returns: The reason for the loss.
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: Sends no requests.
    public func waitUntilLost() async throws -> LossReason {
        try await held.waitForLoss()
    }

    /// Executes operations as one transaction that succeeds only while this participant leads.
    ///
    /// The transaction starts with a check of this participant's candidate znode. If another participant may already
    /// lead, the ensemble refuses the whole transaction.
    /// - Parameter operations: The operations to execute, at least one.
    /// - Returns: One result for each operation, in the order of the operations.
    /// - Throws: ``RecipeError`` with code `.lost` if the term was lost, or `.notLeading` if it ended for another
    ///   reason. In both cases, nothing has been changed. `ZooKeeperError` of an operation that failed;
    ///   `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard !hasEnded.load(ordering: .acquiring) else { throw RecipeError(.notLeading, in: .election, path: path) }
        if let results = try await Holding([held]).transaction(operations) { return results }
        throw RecipeError(
            .lost, in: .election, path: path, lossReason: held.lossReason ?? held.session.endReason ?? .znodeDeleted)
    }

    /// Ends the term on behalf of its leader.
    ///
    /// The closure is cancelled, and the participant rejoins the election at the end of the queue. This method returns
    /// at once. It has no effect on a term that has already ended.
    public func resign() {
        end(.resigned)
    }

    func end(_ ending: Ending) {
        self.ending.set(ending)
        if ending == .cancelled { mustReturn.set(()) }
    }

    /// Marks the term as ended, after its closure has returned.
    func finish() {
        hasEnded.store(true, ordering: .releasing)
    }
}
