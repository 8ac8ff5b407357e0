public import ZooKeeper
public import ZooKeeperRecipes

/// A run of a scheduled task in progress.
public struct ScheduledRun: Grant {
    /// The period of the run: its ID, start and end.
    public let period: Schedule.Period
    /// The reason for the run.
    public let kind: RunRecord.Kind
    /// The number of the attempt, from 1.
    ///
    /// If it is over 1, the previous attempt was claimed and did not complete.
    public let attempt: Int
    /// The number to pass to every system that the task writes to: it increases with each run and each attempt.
    ///
    /// For a run in an exclusive window it is the window's token, which is higher than those of the paused processors.
    public let fencingToken: FencingToken
    /// The last checkpoint of the previous attempt; `nil` unless the run resumes.
    public let lastCheckpoint: String?
    /// The exclusive window of the run; `nil` if it does not use one.
    public let window: ExclusiveWindow?

    let term: Term
    let scheduler: Scheduler

    init(_ record: RunRecord, window: ExclusiveWindow?, scheduler: Scheduler) {
        period = Schedule.Period(id: record.period, start: record.start, end: record.end, note: record.note)
        kind = record.kind
        attempt = record.attempt
        fencingToken = window?.fencingToken ?? record.token ?? record.term
        lastCheckpoint = record.checkpoint
        self.window = window
        term = scheduler.term
        self.scheduler = scheduler
    }

    /// Whether this run is certainly the only one at this moment.
    ///
    /// It is true while the node leads, the window is held and the run is in progress. The answer comes from memory.
    public var isValid: Bool { term.isValid && window?.isValid ?? true && isOn }

    /// The time until which this run is certainly the only one, as last observed; `nil` if it is not.
    public var validUntil: ContinuousClock.Instant? {
        guard isOn, let term = term.validUntil else { return nil }
        guard let window else { return term }
        return window.validUntil.map { min($0, term) }
    }

    /// Waits until the leadership or the window is lost, and returns the reason.
    ///
    /// The task is cancelled at that time.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: No requests.
    public func waitUntilLost() async throws -> LossReason {
        let (term, window) = (term, window)
        guard let window else { return try await term.waitUntilLost() }
        return try await race({ try await term.waitUntilLost() }, { try await window.waitUntilLost() })
    }

    /// Executes operations as one transaction that succeeds only while this node leads and holds the window.
    ///
    /// - Parameter operations: The operations of the transaction.
    /// - Returns: One result for each operation, in the same order.
    /// - Throws: `RecipeError` with code `.lost`, or `.notRunning` if the run has ended; in both cases nothing has
    ///   happened. `ZooKeeperError` of an operation; `CancellationError`.
    /// - Complexity: 1 request.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard isOn else { throw RecipeError(.notRunning, in: .scheduledTask, path: scheduler.path) }
        return try await scheduler.transaction(operations, window: window)
    }

    /// Stores the progress of the task in the run's record, for an attempt that resumes.
    ///
    /// - Parameter note: The checkpoint, which replaces the previous one. It should be at most a few kilobytes, because
    ///   each new leader reads the records.
    /// - Throws: `RecipeError` with code `.lost` or `.notRunning`, in which case nothing is stored, or
    ///   `.invalidArgument` if the checkpoint exceeds 100,000 bytes; `ZooKeeperError`, such as `.noAuth`;
    ///   `CancellationError`.
    /// - Complexity: 1 write.
    public func checkpoint(_ note: String) async throws {
        guard note.utf8.count <= 100_000 else {
            throw RecipeError(
                .invalidArgument, in: .scheduledTask, path: scheduler.path,
                message: "the checkpoint has \(note.utf8.count) bytes, and the maximum is 100,000; store the data "
                    + "elsewhere, and its location in the checkpoint")
        }
        guard isOn else { throw RecipeError(.notRunning, in: .scheduledTask, path: scheduler.path) }
        try await scheduler.checkpoint(note, period: period.id, attempt: attempt, window: window)
    }

    private var isOn: Bool { scheduler.isOn(period.id, attempt: attempt) }
}
