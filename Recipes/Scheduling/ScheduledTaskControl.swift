public import ZooKeeper
internal import ZooKeeperRecipes

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
    /// - Complexity: 2 requests in 2 round trips.
    public func commands() async throws -> OperatorCommands {
        try await client.recipeSteps { try await read() }.wishes
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
    /// - Throws: The same errors as ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    public func runNow() async throws {
        try await update { $0.runRequests.append(self.id) }
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
    /// The runs start one after the other when there is nothing else to do. A pending backfill is replaced. The record
    /// of a period shows whether it is completed. If the record was pruned, the period is run again.
    ///
    /// - Parameters:
    ///   - from: The earliest start of a period.
    ///   - through: The latest start of a period.
    /// - Throws: `RecipeError` with code `.invalidArgument` if the range ends before it starts; the same errors as
    ///   ``update(_:)``.
    /// - Complexity: The same as ``update(_:)``.
    public func backfill(from: Timestamp, through: Timestamp) async throws {
        guard from <= through else {
            let (from, through) = (from.secondsText, through.secondsText)
            throw RecipeError(
                .invalidArgument, in: .scheduledTask, path: path,
                message: "the range ends at \(through), before it starts at \(from)")
        }
        try await update { $0.backfill = OperatorCommands.Backfill(from: from, through: through, requestedBy: self.id) }
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
    /// - Parameter edit: Changes the commands. It may be called several times.
    /// - Throws: `RecipeError` with code `.notFound` if no node has ever led the task, or `.conflict` after 100
    ///   attempts; `ZooKeeperError`, such as `.noAuth`; `CancellationError`. If `isOutcomeUnknown` of a
    ///   `ZooKeeperError` is true, the response was lost: check ``commands()``.
    /// - Complexity: 3 requests in 3 round trips for each attempt.
    public func update(_ edit: @Sendable (inout OperatorCommands) -> Void) async throws {
        for _ in 0..<100 {
            let (present, version) = try await client.recipeSteps { try await read() }
            var wishes = present
            edit(&wishes)
            if wishes == present { return }
            do {
                let (data, control) = (wishes.bytes, TaskPaths(path).control)
                try await client.recipeSteps { _ = try await client.setData(data, at: control, version: version) }
                return
            } catch let error as ZooKeeperError where error.code == .badVersion {
                continue
            }
        }
        throw RecipeError(.conflict, in: .scheduledTask, path: path)
    }

    private func read() async throws -> (wishes: OperatorCommands, version: Int32) {
        let control = TaskPaths(path).control
        try await client.sync(control)
        do {
            let (data, stat) = try await client.data(at: control)
            return (OperatorCommands(data), stat.dataVersion)
        } catch let error as ZooKeeperError where error.code == .noNode {
            throw RecipeError(
                .notFound, in: .scheduledTask, path: path,
                message: "no node has led this task yet; start a node first, or check the path")
        }
    }
}
