package import Foundation
public import Logging
public import ServiceLifecycle
public import ZooKeeper
internal import ZooKeeperRecipes

/// Runs a task once a period, on exactly one of the nodes that run the same program.
///
/// ```swift
/// let schedule = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
/// let task = try ScheduledTask(
///     name: "settle", schedule: schedule, client: client, path: "/app/settle", node: "batch1", delivery: .atLeastOnce
/// ) { run in
///     try await settle(run.period.id, token: run.fencingToken)
/// }
/// // In a ServiceGroup the task comes after its client.
/// try await ServiceGroup(services: [client, task], logger: logger).run()
/// ```
///
/// Every node runs it; the one that leads has the schedule. When it dies another takes over, and does about a run that had
/// begun what ``ScheduledTaskConfiguration/takeover`` says. A run is claimed, begun and completed by writes that the
/// ensemble accepts only from the leader, to a record that there is one of for each period: a leader that lost its place
/// can do neither, and a period that is completed is not run again.
///
/// The closure runs in a child task. It is cancelled and **awaited** when the leadership or the window is lost, when the
/// node is shut down and is not to finish its run first, and when the overlap policy says so. What it still does then is
/// fenced off by ``ScheduledRun/fencingToken``, where what it writes to refuses lower ones.
///
/// The ensemble's clock decides when a period begins: the time that its leading server stamps writes with. A node whose own
/// wall clock differs by more than ``ScheduledTaskConfiguration/skewLimit`` does not take the schedule.
///
/// A period takes four requests of the node that runs it, a fifth when a record is pruned for it, and none of those that
/// stand by.
///
/// ```
/// PATH/leader/          the election, as of a LeaderSelector; PATH/leader-epoch beside it
/// PATH/runs/<period>    one persistent record a period
/// PATH/control          what operators want
/// PATH/clock            written to read the ensemble's clock
/// ```
public final class ScheduledTask: Service, Sendable {
    /// What the task is called in logs, windows and records.
    public let name: String
    /// When it runs.
    public let schedule: Schedule
    /// The znode that everything stands below.
    public let path: String
    /// What names this node in records.
    public let node: String
    /// How often the task may be begun for one period.
    public let delivery: TaskDelivery
    /// What it was made with.
    public let configuration: ScheduledTaskConfiguration

    let client: ZooKeeperClient
    let logger: Logger
    let wallClock: @Sendable () -> Date
    let body: @Sendable (ScheduledRun) async throws -> Void
    /// Called at each step of a run, for tests that kill there.
    let atStep: @Sendable (TaskStep, RunRecord) async -> Void
    let broadcast = Broadcast<ScheduledTaskState>(.standby(position: nil))
    let runOnce = RunOnce()

    /// Makes a node's part; nothing is sent before it runs.
    ///
    /// - Parameters:
    ///   - name: What the task is called in logs and windows.
    ///   - schedule: When it runs; the same on every node.
    ///   - client: Whose session holds the node's candidate; it must be running, else everything waits.
    ///   - path: The znode that everything stands below; created as needed. Each task has its own.
    ///   - node: Names this node in records and to others; several with one name cannot be told apart.
    ///   - delivery: Whether a run whose runner died may be begun again.
    ///   - configuration: Takeover, missed periods, overlap, windows, clocks; the same on every node.
    ///   - logger: Where the node tells what happens to it.
    ///   - body: The task; never twice at a time in this process.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; `RecipeError` with code `.invalidArgument` for the
    ///   root, for an empty node, and for policies or a leadership configuration that cannot be.
    public convenience init(
        name: String, schedule: Schedule, client: ZooKeeperClient, path: String, node: String, delivery: TaskDelivery,
        configuration: ScheduledTaskConfiguration = ScheduledTaskConfiguration(), logger: Logger = .current,
        body: @escaping @Sendable (ScheduledRun) async throws -> Void
    ) throws {
        try self.init(
            name: name, schedule: schedule, client: client, path: path, node: node, delivery: delivery,
            configuration: configuration, logger: logger, wallClock: { Date() }, body: body)
    }

    /// - Parameters:
    ///   - wallClock: This node's wall clock.
    ///   - atStep: Called at each step of a run.
    package init(
        name: String, schedule: Schedule, client: ZooKeeperClient, path: String, node: String, delivery: TaskDelivery,
        configuration: ScheduledTaskConfiguration, logger: Logger, wallClock: @escaping @Sendable () -> Date,
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
        self.node = node
        self.delivery = delivery
        self.configuration = configuration
        var logger = logger
        logger[metadataKey: "zookeeper.task"] = "\(name)"
        self.logger = logger
        self.wallClock = wallClock
        self.atStep = atStep
        self.body = body
        // What is wrong with it shows now and not when it runs.
        _ = try makeSelector { _ in }
    }

    /// Where this node stands: the current state first, then every change in order.
    ///
    /// Nothing is dropped, however slowly it is read. The sequence ends when ``run()`` has.
    public var states: AsyncStream<ScheduledTaskState> { broadcast.follow() }

    /// Where this node stands now.
    public var state: ScheduledTaskState { broadcast.current }

    func makeSelector(_ lead: @escaping @Sendable (Term) async throws -> Void) throws -> LeaderSelector {
        try LeaderSelector(
            client: client, path: TaskPaths(path).leader, id: node, configuration: configuration.election,
            logger: logger, lead: lead)
    }

    /// Tells followers what they have not been told last.
    func tell(_ state: ScheduledTaskState) {
        if broadcast.current != state { broadcast.send(state) }
    }
}

/// A step of a run, after which a test may kill the runner.
package enum TaskStep: String, Sendable, Hashable, CaseIterable {
    /// The record of the claim is written.
    case claimed
    /// The record says that the task begins; it begins next.
    case started
    /// The task has returned; no record says so.
    case ended
    /// The record is completed.
    case recorded
}

/// Where a task's znodes stand.
struct TaskPaths: Sendable {
    let path: String

    init(_ path: String) { self.path = path }

    var leader: String { ZNodePath.child("leader", of: path) }
    var runs: String { ZNodePath.child("runs", of: path) }
    var control: String { ZNodePath.child("control", of: path) }
    var clock: String { ZNodePath.child("clock", of: path) }
    func run(_ period: String) -> String { ZNodePath.child(period, of: runs) }
}
