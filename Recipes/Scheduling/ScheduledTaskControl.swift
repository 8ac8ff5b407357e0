public import ZooKeeper
package import ZooKeeperRecipes

/// The operator commands for a scheduled task, which can be sent from any process.
///
/// Each command changes `PATH/control` by compare-and-set. The current leader observes the change at once, and a later
/// leader reads it. The transaction that carries a command out also removes it. Each command is therefore carried out
/// exactly once, even if a node dies in the meantime.
///
/// ```swift
/// let control = try ScheduledTaskControl(client: client, path: "/app/settle", id: "ada")
/// try await control.pause(reason: "migration until noon")
/// ```
public struct ScheduledTaskControl: Sendable {
    /// The path of the task.
    public let path: String
    /// The operator's name, for records and for other operators.
    public let id: String
    private let client: ZooKeeperClient

    /// Creates a control for a task.
    ///
    /// No request is sent.
    ///
    /// - Parameters:
    ///   - client: The client that sends the requests.
    ///   - path: The path of the task.
    ///   - id: The operator's name, for records and for other operators.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String, id: String) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
        self.id = id
    }

    /// Returns the pending operator commands.
    ///
    /// - Throws: `RecipeError` with code `.notFound` if no node has ever led the task; `ZooKeeperError`;
    ///   `CancellationError`.
    /// - Complexity: 3 requests in 3 round trips.
    public func commands() async throws -> OperatorCommands {
        try await client.recipeSteps { try await read() }.commands
    }

    /// Pauses the schedule.
    ///
    /// A run in progress continues.
    ///
    /// Periods that start during the pause are skipped, and their records contain the reason.
    ///
    /// - Parameter reason: The reason for the pause.
    /// - Throws: The same errors as ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    public func pause(reason: String) async throws {
        try await update { $0.pause = OperatorCommands.Pause(reason: reason, requestedBy: self.id) }
    }

    /// Resumes the schedule, even if another operator paused it.
    ///
    /// - Throws: The same errors as ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    public func resume() async throws {
        try await update { $0.pause = nil }
    }

    /// Requests one run as soon as no other run is in progress, or after the pause if the task is paused.
    ///
    /// - Returns: The transaction of the request. The fencing token of the run is higher.
    /// - Throws: The same errors as ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    @discardableResult
    public func runNow() async throws -> ZXID {
        try await change { $0.runRequests.append(self.id) }.zxid
    }

    /// Skips the next period; two calls skip the next two periods.
    ///
    /// - Throws: The same errors as ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    public func skipNext() async throws {
        try await update { $0.skipRequests.append(self.id) }
    }

    /// Requests runs for all periods that start within a range and are not completed, the oldest first, each once.
    ///
    /// The runs start one after the other when there is nothing else to do. Periods that have not started are left out.
    /// The record of a period shows whether it is completed. If the record was pruned, the period is run again.
    ///
    /// - Parameters:
    ///   - from: The earliest start of a period.
    ///   - through: The latest start of a period.
    ///   - maximumPeriods: The maximum number of periods, which protects against a mistyped year. Default: 366.
    ///   - replacesPending: Whether to replace a pending backfill. Default: `false`.
    /// - Returns: The periods, including those that are completed.
    /// - Throws: `RecipeError` with code `.notAvailable` if another backfill is pending and `replacesPending` is false;
    ///   the same errors as ``periods(from:through:maximum:)`` and ``update(_:)``.
    /// - Complexity: 1 request, and those of ``update(_:)``.
    @discardableResult
    public func backfill(
        from: Timestamp, through: Timestamp, maximumPeriods: Int = 366, replacesPending: Bool = false
    ) async throws -> PeriodRange {
        let schedule = try await schedule()
        let periods = try periods(of: schedule, from: from, through: through, maximum: maximumPeriods)
        let backfill = OperatorCommands.Backfill(from: from, through: through, requestedBy: id)
        try await update { commands in
            if let pending = commands.backfill, !replacesPending { throw self.refusal(because: pending, of: schedule) }
            commands.backfill = backfill
        }
        return periods
    }

    /// Returns the periods that a backfill of a range would include, and changes nothing.
    ///
    /// - Parameters:
    ///   - from: The earliest start of a period.
    ///   - through: The latest start of a period.
    ///   - maximum: The maximum number of periods. Default: 366.
    /// - Returns: The periods that have started, including those that are completed.
    /// - Throws: `RecipeError` with code `.invalidArgument` if the range ends before it starts, contains no period that
    ///   has started, or contains more than the maximum; the same errors as ``schedule()``.
    /// - Complexity: 1 request.
    public func periods(from: Timestamp, through: Timestamp, maximum: Int = 366) async throws -> PeriodRange {
        try periods(of: await schedule(), from: from, through: through, maximum: maximum)
    }

    private func periods(
        of schedule: Schedule, from: Timestamp, through: Timestamp, maximum: Int
    ) throws -> PeriodRange {
        func refusal(_ problem: String) -> RecipeError {
            RecipeError(.invalidArgument, in: .scheduledTask, path: path, message: problem)
        }
        let range = "from \(from.secondsText) through \(through.secondsText)"
        guard from <= through else {
            throw refusal("the range ends at \(through.secondsText), before it starts at \(from.secondsText)")
        }
        switch schedule.count(from: from, through: through, now: .now, limit: maximum) {
        case .periods(let periods): return periods
        case .none: throw refusal("no period \(range) has started; the schedule is: \(schedule)")
        case .tooMany:
            throw refusal(
                "more than \(maximum) \(noun("period", for: maximum)) start \(range); the schedule is: \(schedule)")
        }
    }

    /// Returns the error for a backfill while another one is pending, which names its operator and its remaining
    /// periods.
    package func refusal(because pending: OperatorCommands.Backfill, of schedule: Schedule) -> RecipeError {
        let name = pending.requestedBy.isEmpty ? "another operator" : pending.requestedBy
        let range = "from \(pending.from.secondsText) through \(pending.through.secondsText)"
        let limit = 10_000
        let counted = schedule.count(from: pending.from, through: pending.through, now: .now, limit: limit)
        let rest =
            switch counted {
            case .none: "no periods are left"
            case .periods(let rest): "\(rest.count) \(noun("period is", plural: "periods are", for: rest.count)) left"
            case .tooMany: "more than \(limit) periods are left"
            }
        return RecipeError(
            .notAvailable, in: .scheduledTask, path: path, participants: [name],
            message: "a backfill of \(name) is pending, \(range): \(rest)")
    }

    /// Withdraws pending commands that no node has carried out yet.
    ///
    /// A node carries a command out and removes it in one transaction. A command is therefore either withdrawn, or it
    /// is carried out and is not among the returned ones. Runs in progress continue, also that of a backfill whose
    /// other periods are withdrawn.
    ///
    /// - Parameter kinds: The kinds of commands, of all operators. Default: all kinds.
    /// - Returns: The withdrawn commands.
    /// - Throws: The same errors as ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    @discardableResult
    public func withdraw(
        _ kinds: Set<OperatorCommands.Kind> = Set(OperatorCommands.Kind.allCases)
    ) async throws -> OperatorCommands {
        var before = try await change { _ = $0.remove(kinds) }.before
        return before.remove(kinds)
    }

    /// Returns the schedule of the task, as its leader or the node that last joined the election uses it.
    ///
    /// - Throws: `RecipeError` with code `.notFound` if no node has ever led the task, or `.unreadable` if the nodes
    ///   have not stored their schedule; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 1 request.
    public func schedule() async throws -> Schedule {
        let clock = TaskPaths(path).clock
        guard let found = try await client.recipeSteps({ try await client.dataIfExists(at: clock) }) else {
            throw notFound
        }
        guard let schedule = ClockRecord(found.data).schedule else {
            throw RecipeError(
                .unreadable, in: .scheduledTask, path: clock,
                message: "it does not contain the task's schedule; start a node of this version")
        }
        return schedule
    }

    /// Decides about a run whose node died and that waits for an operator.
    ///
    /// The record of the run contains the operator's ID.
    ///
    /// - Parameters:
    ///   - period: The ID of the run's period.
    ///   - decision: The decision.
    /// - Throws: `RecipeError` with code `.notAwaitingDecision` if the period's run does not wait for a decision; the
    ///   same errors as ``update(_:)``.
    /// - Complexity: 1 request, and those of ``update(_:)``.
    public func decide(_ period: String, _ decision: OperatorCommands.Decision) async throws {
        let record = try await ScheduledTaskHistory(client: client, path: path).run(period)
        guard record?.state == .awaitingOperator else {
            // If no node has ever led the task, that is the error to report.
            if record == nil { _ = try await commands() }
            throw RecipeError(
                .notAwaitingDecision, in: .scheduledTask, path: path,
                message: "the run of \(period) is \(record?.state.rawValue ?? "unknown")")
        }
        try await update { commands in
            commands.decisions[period] = decision
            commands.decisionOperators[period] = self.id
        }
    }

    /// Changes the pending operator commands, and retries if another client changes them at the same time.
    ///
    /// Nothing is written if the closure makes no change.
    ///
    /// - Parameter edit: Changes the commands, or throws an error to leave them unchanged. It may be called several
    ///   times.
    /// - Throws: `RecipeError` with code `.notFound` if no node has ever led the task, or `.conflict` after 100
    ///   attempts; `ZooKeeperError`, such as `.noAuth`; `CancellationError`; the error of `edit`. If `isOutcomeUnknown`
    ///   of a `ZooKeeperError` is true, the response was lost: check ``commands()``.
    /// - Complexity: 4 requests in 4 round trips for each attempt.
    public func update(_ edit: @Sendable (inout OperatorCommands) throws -> Void) async throws {
        _ = try await change(edit)
    }

    /// Changes the commands like ``update(_:)``.
    ///
    /// - Returns: The commands before the change, and the transaction that changed them, or the last one if there was
    ///   nothing to change.
    private func change(
        _ edit: @Sendable (inout OperatorCommands) throws -> Void
    ) async throws -> (before: OperatorCommands, zxid: ZXID) {
        for _ in 0..<100 {
            let (before, stat) = try await client.recipeSteps { try await read() }
            var commands = before
            try edit(&commands)
            if commands == before { return (before, stat.mzxid) }
            do {
                let (data, control) = (commands.bytes, TaskPaths(path).control)
                let written = try await client.recipeSteps {
                    try await client.setData(data, at: control, version: stat.dataVersion)
                }
                return (before, written.mzxid)
            } catch let error as ZooKeeperError where error.code == .badVersion {
                continue
            }
        }
        throw RecipeError(.conflict, in: .scheduledTask, path: path)
    }

    /// Reads the commands, if the path is that of a task.
    ///
    /// A znode `PATH/control` alone may belong to another program, whose data must not be replaced. A task creates
    /// `PATH/runs` first.
    private func read() async throws -> (commands: OperatorCommands, stat: ZNodeStat) {
        let paths = TaskPaths(path)
        try await client.sync(paths.control)
        guard let (data, stat) = try await client.dataIfExists(at: paths.control),
            try await client.exists(at: paths.runs) != nil
        else { throw notFound }
        return (OperatorCommands(data), stat)
    }

    private var notFound: RecipeError {
        RecipeError(
            .notFound, in: .scheduledTask, path: path,
            message: "no node has led this task yet; start a node first, or check the path")
    }
}
