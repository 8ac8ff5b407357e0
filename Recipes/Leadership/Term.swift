internal import Synchronization
public import ZooKeeper

/// One time of leading, from taking office to its end.
///
/// It is worth something while the term's closure runs. Kept longer, it tells that it is over.
public final class Term: Grant {
    /// Counts the terms of this participant, from 1.
    public let number: Int
    /// The number to hand to what the leader writes to: it grows with each term of the election, whoever leads.
    ///
    /// It is the transaction that took office, and not the one that created the candidate: a transferred term does not
    /// follow the order of the queue.
    public let fencingToken: FencingToken

    /// Why the term was lost; `nil` unless it was.
    package var lossReason: LossReason? { held.lossReason }

    let path: String
    let held: HeldNode
    let candidate: ContenderName
    private let clock: any MonotonicClock
    private let hasEnded = Atomic(false)
    /// The leader, or its program, wants the term to end.
    let ending = OneShot<Ending>()
    /// The closure must return, whatever grace it has.
    let mustReturn = OneShot<Void>()
    /// The closure has returned and the candidate is deleted, or left to be.
    let over = OneShot<Void>()

    /// Why a term ends by its leader's own will.
    enum Ending: Sendable, Hashable {
        /// The leader resigned, or has handed its place over.
        case resigned
        /// The program shuts down gracefully.
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
        self.clock = clock
    }

    /// Whether this participant surely leads at this moment.
    ///
    /// Also right in the first instruction after the process was stopped for a while, and when the own server is cut off
    /// from the others, as long as clocks run at the same rate within the client's validity margin.
    /// - Complexity: One clock read and a comparison; nothing is sent.
    public var isValid: Bool { !hasEnded.load(ordering: .acquiring) && held.isValid }

    /// Until when this participant surely leads, as far as is known now; moves on while the session is proved.
    ///
    /// `nil` when it does not lead any more.
    public var validUntil: ContinuousClock.Instant? {
        hasEnded.load(ordering: .acquiring) ? nil : Holding([held]).validUntil(by: clock)
    }

    /// Waits until the term is lost.
    ///
    /// A term that ends by the leader's own will is not lost: then this waits for ever, or until the task is cancelled.
    /// - Throws: `CancellationError` when the task is cancelled.
    public var lost: LossReason {
        get async throws { try await held.waitForLoss() }
    }

    /// Executes operations as one transaction that succeeds only while this participant leads.
    ///
    /// A check of the own candidate goes in front: when somebody else may lead already, the ensemble refuses all of it.
    /// - Returns: One result for each operation, in their order.
    /// - Throws: ``RecipeError`` with code `.lost`, or `.notLeading` when the term has ended in order, and nothing has
    ///   happened; `ZooKeeperError` of an operation; `CancellationError`.
    /// - Complexity: One request.
    @discardableResult
    public func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard !hasEnded.load(ordering: .acquiring) else { throw RecipeError(.notLeading, in: .election, path: path) }
        if let results = try await Holding([held]).guarded(operations) { return results }
        throw RecipeError(
            .lost, in: .election, path: path, reason: held.lossReason ?? held.session.endReason ?? .znodeDeleted)
    }

    /// Ends the term by the leader's own will: its closure is cancelled, and the participant stands again at the tail.
    ///
    /// Returns at once; a term that is over already stays so.
    public func resign() {
        end(.resigned)
    }

    func end(_ ending: Ending) {
        self.ending.set(ending)
        if ending == .cancelled { mustReturn.set(()) }
    }

    /// The closure has returned.
    func finish() {
        hasEnded.store(true, ordering: .releasing)
    }
}
