public import Foundation
public import ZooKeeper
internal import ZooKeeperRecipes

/// What operators do with a scheduled task, from anywhere.
///
/// Each call changes `PATH/control` by compare-and-set; the node that leads sees it at once, and one that leads later
/// finds it. A wish is taken away in the same transaction that fulfils it: it is fulfilled once, whoever dies meanwhile.
///
/// ```swift
/// let control = try ScheduledTaskControl(path: "/app/settle", client: client, operator: "ada")
/// try await control.pause(note: "migration until noon")
/// ```
public struct ScheduledTaskControl: Sendable {
    /// The task's path.
    public let path: String
    /// Who does it, for records and other operators.
    public let `operator`: String
    private let client: ZooKeeperClient

    /// Names a task; nothing is sent.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(path: String, client: ZooKeeperClient, operator name: String) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
        self.operator = name
    }

    /// What is wanted of the task now.
    ///
    /// - Throws: `RecipeError` with code `.notFound`; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: Two requests.
    public func wishes() async throws -> TaskWishes {
        try await client.recipeSteps { try await read() }.wishes
    }

    /// Has nothing begun any more; a run that is on goes on.
    ///
    /// Periods that begin meanwhile are left out, and their records say so with the note.
    /// - Throws: As ``change(_:)``.
    public func pause(note: String) async throws {
        try await change { $0.pause = TaskWishes.Pause(note: note, by: self.operator) }
    }

    /// Ends the pause, whoever began it.
    ///
    /// - Throws: As ``change(_:)``.
    public func resume() async throws {
        try await change { $0.pause = nil }
    }

    /// Has the task run once as soon as no run is on; while it is paused, after the pause.
    ///
    /// - Throws: As ``change(_:)``.
    public func runNow() async throws {
        try await change { $0.requests.append(self.operator) }
    }

    /// Leaves the next period out; called twice, the next two.
    ///
    /// - Throws: As ``change(_:)``.
    public func skipNext() async throws {
        try await change { $0.skips.append(self.operator) }
    }

    /// Runs the periods that begin within a range and are not completed, the oldest first, each once.
    ///
    /// They run when nothing else is to be done, one after the other. Replaces a range that is not done. Whether a period is
    /// completed its record says: one whose record was pruned is run.
    /// - Throws: `RecipeError` with code `.invalidArgument` when the range ends before it begins; as ``change(_:)``.
    public func backfill(from: Date, through: Date) async throws {
        guard from <= through else {
            let (from, through) = (UniversalTime.text(from), UniversalTime.text(through))
            throw RecipeError(
                .invalidArgument, in: .scheduledTask, path: path,
                message: "the range ends at \(through), before it begins at \(from)")
        }
        try await change { $0.backfill = TaskWishes.Backfill(from: from, through: through, by: self.operator) }
    }

    /// Decides what becomes of a run whose runner died.
    ///
    /// - Throws: `RecipeError` with code `.notAsked` when the period's run does not wait for an answer; as
    ///   ``change(_:)``.
    /// - Complexity: One request, and those of ``change(_:)``.
    public func answer(_ period: String, _ answer: TaskWishes.Answer) async throws {
        let record = try await ScheduledTaskHistory(path: path, client: client).run(period)
        guard record?.state == .awaitingOperator else {
            // Where nothing has led, that is what is wrong.
            if record == nil { _ = try await wishes() }
            throw RecipeError(
                .notAsked, in: .scheduledTask, path: path,
                message: "\(period) is \(record?.state.rawValue ?? "unknown"), and waits for no decision")
        }
        try await change { $0.answers[period] = answer }
    }

    /// Changes what is wanted, again and again until nobody else has changed it in between.
    ///
    /// - Parameter edit: May be called several times.
    /// - Throws: `RecipeError` with code `.notFound`, or `.conflict` after a hundred tries; `ZooKeeperError`, such as
    ///   `.noAuth`, or with `isOutcomeUnknown` when the answer was lost: then look at ``wishes()``; `CancellationError`.
    /// - Complexity: Three requests a try.
    public func change(_ edit: @Sendable (inout TaskWishes) -> Void) async throws {
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

    private func read() async throws -> (wishes: TaskWishes, version: Int32) {
        let control = TaskPaths(path).control
        try await client.sync(control)
        do {
            let (data, stat) = try await client.data(at: control)
            return (TaskWishes(data), stat.dataVersion)
        } catch let error as ZooKeeperError where error.code == .noNode {
            throw RecipeError(
                .notFound, in: .scheduledTask, path: path,
                message: "nothing has led there yet: run the task once before, or mind the path")
        }
    }
}
