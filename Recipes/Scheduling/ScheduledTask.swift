public import Logging
public import ServiceLifecycle
public import ZooKeeper
internal import ZooKeeperRecipes

/// A service that runs a task once per period, on exactly one of several nodes that run the same program.
///
/// ```swift
/// let schedule = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
/// let task = try ScheduledTask(
///     client: client, path: "/app/settle", id: "batch1", name: "settle", schedule: schedule, delivery: .atLeastOnce
/// ) { run in
///     try await settle(run.period.id, token: run.fencingToken)
/// }
/// // In a ServiceGroup the task comes after its client.
/// try await ServiceGroup(services: [client, task], logger: logger).run()
/// ```
///
/// Every node runs the service, and the leader among them starts the runs. If the leader dies, another node takes over.
/// It handles a run that had already started as ``ScheduledTask/Configuration/takeover`` specifies. There is at most one
/// record for each period. A run is claimed, started and completed by writes to this record, which the ensemble accepts
/// only from the leader. A node that has lost the leadership can do none of them, and a completed period is not run
/// again.
///
/// The closure runs in a child task. It is cancelled and **awaited** if the leadership or the exclusive window is lost,
/// if the node shuts down without finishing its run first, or if the overlap policy requires it. Work that the closure
/// still does after that is rejected if the system it writes to refuses fencing tokens lower than the highest one it
/// has seen; see ``ScheduledRun/fencingToken``.
///
/// The ensemble's clock decides when a period starts: it is the time with which the ensemble's leader stamps writes. A
/// node whose wall clock differs by more than ``ScheduledTask/Configuration/maximumClockSkew`` does not lead.
///
/// A period takes 4 requests by the node that runs it, and a fifth one if an old record is pruned. Nodes on standby
/// send none.
///
/// ```
/// PATH/leader/          the election, as of a LeaderSelector; PATH/leader-epoch beside it
/// PATH/runs/<period>    one persistent record for each period
/// PATH/control          the pending operator commands
/// PATH/clock            written to read the ensemble's clock
/// ```
public final class ScheduledTask: Service, Sendable {
    /// The name of the task in log messages and exclusive windows.
    public let name: String
    /// The times at which the task runs.
    public let schedule: Schedule
    /// The path of the znode that contains all znodes of the task.
    public let path: String
    /// This node's participant ID.
    public let id: String
    /// The guarantee on how often the task is started for one period.
    public let delivery: TaskDelivery
    /// The configuration of the task.
    public let configuration: ScheduledTask.Configuration

    let client: ZooKeeperClient
    let logger: Logger
    let wallClock: @Sendable () -> Timestamp
    let body: @Sendable (ScheduledRun) async throws -> Void
    /// Called after each step of a run, for tests that kill the process there.
    let atStep: @Sendable (TaskStep, RunRecord) async -> Void
    let broadcast = Broadcast<ScheduledTaskState>(.standby(position: nil))
    let runOnce = RunOnce()

    /// Creates a scheduled task.
    ///
    /// No request is sent before ``run()`` is called.
    ///
    /// - Parameters:
    ///   - client: The client whose session holds this node's candidate. It must be running; until then, the task
    ///     waits.
    ///   - path: The path of the znode that contains all znodes of the task. It is created as needed. Each task needs
    ///     its own.
    ///   - id: This node's participant ID, which appears in records and in the election. Nodes with the same ID
    ///     cannot be told apart.
    ///   - name: The name of the task in log messages and exclusive windows.
    ///   - schedule: The times at which the task runs. It must be the same on every node.
    ///   - delivery: Whether a run that had started when its node died may be started again.
    ///   - configuration: The policies and limits of the task. It must be the same on every node.
    ///   - logger: The logger for the events of this node.
    ///   - body: The task. It never runs twice at a time in this process.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; `RecipeError` with code `.invalidArgument` if the path is
    ///   the root, if the participant ID is empty, or if a policy or the leadership configuration is invalid.
    public convenience init(
        client: ZooKeeperClient, path: String, id: String, name: String, schedule: Schedule, delivery: TaskDelivery,
        configuration: ScheduledTask.Configuration = ScheduledTask.Configuration(), logger: Logger = .current,
        body: @escaping @Sendable (ScheduledRun) async throws -> Void
    ) throws {
        try self.init(
            client: client, path: path, id: id, name: name, schedule: schedule, delivery: delivery,
            configuration: configuration, logger: logger, wallClock: { .now }, body: body)
    }

    /// Creates a scheduled task with a wall clock and a hook for tests.
    ///
    /// - Parameters:
    ///   - wallClock: Returns the time of this node's wall clock.
    ///   - atStep: Called after each step of a run.
    package init(
        client: ZooKeeperClient, path: String, id: String, name: String, schedule: Schedule, delivery: TaskDelivery,
        configuration: ScheduledTask.Configuration, logger: Logger, wallClock: @escaping @Sendable () -> Timestamp,
        atStep: @escaping @Sendable (TaskStep, RunRecord) async -> Void = { _, _ in },
        body: @escaping @Sendable (ScheduledRun) async throws -> Void
    ) throws {
        try configuration.validate(delivery, path: path)
        guard path != "/" else {
            throw RecipeError(
                .invalidArgument, in: .scheduledTask, path: path,
                message: "path is the root; name a znode of its own, such as /app/settle")
        }
        self.name = name
        self.schedule = schedule
        self.client = client
        self.path = try ZNodePath(path).string
        self.id = id
        self.delivery = delivery
        self.configuration = configuration
        var logger = logger
        logger[metadataKey: "zookeeper.task"] = "\(name)"
        self.logger = logger
        self.wallClock = wallClock
        self.atStep = atStep
        self.body = body
        // Reports an invalid configuration of the election now, not when the task runs.
        _ = try makeSelector { _ in }
    }

    /// The states of this node: the current one first, then every change in order.
    ///
    /// No state is dropped, however slow the consumer is. The sequence ends when ``run()`` ends.
    public var states: AsyncStream<ScheduledTaskState> { broadcast.follow() }

    /// The current state of this node.
    public var state: ScheduledTaskState { broadcast.current }

    func makeSelector(_ lead: @escaping @Sendable (Term) async throws -> Void) throws -> LeaderSelector {
        try LeaderSelector(
            client: client, path: TaskPaths(path).leader, id: id, configuration: configuration.election,
            logger: logger, lead: lead)
    }

    /// Publishes a state if it differs from the last one.
    func tell(_ state: ScheduledTaskState) {
        if broadcast.current != state { broadcast.send(state) }
    }
}

/// A step of a run, after which a test may kill the process.
package enum TaskStep: String, Sendable, Hashable, CaseIterable {
    /// The claim is recorded.
    case claimed
    /// The start of the task is recorded; the task starts next.
    case started
    /// The task has returned, which is not recorded yet.
    case ended
    /// The completion is recorded.
    case recorded
}

/// The paths of a task's znodes.
struct TaskPaths: Sendable {
    let path: String

    init(_ path: String) { self.path = path }

    var leader: String { ZNodePath.child("leader", of: path) }
    var runs: String { ZNodePath.child("runs", of: path) }
    var control: String { ZNodePath.child("control", of: path) }
    var clock: String { ZNodePath.child("clock", of: path) }
    func run(_ period: String) -> String { ZNodePath.child(period, of: runs) }
}
