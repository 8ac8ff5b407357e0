public import ZooKeeper
public import ZooKeeperRecipes

/// One run of a scheduled task, while it is on.
public struct ScheduledRun: Grant {
    /// The period that it is for: its name, its start and its end.
    public let period: Schedule.Period
    /// Why there is a run.
    public let kind: RunRecord.Kind
    /// From 1; over 1 the one before was claimed and has not ended in order.
    public let attempt: Int
    /// The number to hand to what the task writes to: it grows with each run and each attempt.
    ///
    /// Of an exclusive run it is the window's token, which is higher than those of the processors that paused for it.
    public let fencingToken: FencingToken
    /// What the attempt before noted last; `nil` unless the run resumes.
    public let lastCheckpoint: String?
    /// The window that an exclusive run happens in.
    public let window: ExclusiveWindow?

    let term: Term
    let scheduler: Scheduler

    init(_ record: RunRecord, window: ExclusiveWindow?, scheduler: Scheduler) {
        period = Schedule.Period(id: record.period, start: record.start, end: record.end, remark: record.remark)
        kind = record.kind
        attempt = record.attempt
        fencingToken = window?.fencingToken ?? record.token ?? record.term
        lastCheckpoint = record.checkpoint
        self.window = window
        term = scheduler.term
        self.scheduler = scheduler
    }

    /// Whether the run surely is the only one at this moment: its node leads, and its window stands; from memory.
    public var isValid: Bool { term.isValid && window?.isValid ?? true && isOn }

    /// Until when it surely is, as far as is known now; `nil` when it is not.
    public var validUntil: ContinuousClock.Instant? {
        guard isOn, let term = term.validUntil else { return nil }
        guard let window else { return term }
        return window.validUntil.map { min($0, term) }
    }

    /// Waits until the leadership or the window is lost; the task is cancelled then.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public var lost: LossReason {
        get async throws {
            let (term, window) = (term, window)
            guard let window else { return try await term.lost }
            return try await race({ try await term.lost }, { try await window.lost })
        }
    }

    /// Executes operations as one transaction that succeeds only while this node leads and the window stands.
    ///
    /// - Returns: One result for each operation, in their order.
    /// - Throws: `RecipeError` with code `.lost`, or `.notRunning` when the run has ended, and nothing has
    ///   happened; `ZooKeeperError` of an operation; `CancellationError`.
    /// - Complexity: One request.
    @discardableResult
    public func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        guard isOn else { throw RecipeError(.notRunning, in: .scheduledTask, path: scheduler.path) }
        return try await scheduler.guarded(operations, window: window)
    }

    /// Notes how far the task has come, for an attempt that resumes, in the run's record.
    ///
    /// - Parameter note: Replaces the one before; a few kilobytes at most, for each leader reads the records.
    /// - Throws: `RecipeError` with code `.lost` or `.notRunning`, and nothing is noted; `.invalidArgument` for more
    ///   than 100,000 bytes; `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: One write.
    public func checkpoint(_ note: String) async throws {
        guard note.utf8.count <= 100_000 else {
            throw RecipeError(
                .invalidArgument, in: .scheduledTask, path: scheduler.path,
                message: "a checkpoint of \(note.utf8.count) bytes; keep it elsewhere and note where")
        }
        guard isOn else { throw RecipeError(.notRunning, in: .scheduledTask, path: scheduler.path) }
        try await scheduler.checkpoint(note, period: period.id, attempt: attempt, window: window)
    }

    private var isOn: Bool { scheduler.isOn(period.id, attempt: attempt) }
}
