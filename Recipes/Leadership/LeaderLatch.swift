public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// A flag that is true in at most one of many processes, the leader.
///
/// ```swift
/// let latch = try LeaderLatch(client: client, path: "/app/leader", id: "web1")
/// // In a ServiceGroup the latch comes after its client.
/// if latch.isLeader { try await sendReminders() }
/// ```
///
/// If work has to stop when the leadership is lost, use ``LeaderSelector`` instead, because the flag may turn false
/// right after it was read. To keep a former leader from writing, send the ``Term/fencingToken`` of ``term`` with each
/// write, or write with ``Term/transaction(_:)``.
///
/// The latch is a service. It takes part in the election until it is stopped. It rejoins after its session has expired
/// and after errors, and it waits for the server if that is down at the start. Once the latch leads, it leads until it
/// loses the leadership, resigns or is stopped.
///
/// The znodes are those of Apache Curator's `LeaderLatch`, so JVM processes can take part:
/// `PATH/_c_<uuid>-latch-0000000000`, ephemeral and sequential, with the participant's ID as data. This package also
/// creates `PATH-epoch` next to the directory and writes it once in each term.
public final class LeaderLatch: Service, Sendable {
    /// The way in which a latch that is closed notifies the readers of its states.
    public struct CloseMode: Sendable, Hashable {
        let isSilent: Bool

        /// ``LeaderLatch/states`` ends without reporting another state.
        public static let silent = CloseMode(isSilent: true)
        /// ``LeaderLatch/states`` reports that the latch no longer leads, then that it has stopped, and ends.
        public static let notifyLeader = CloseMode(isSilent: false)
    }

    let election: Election

    /// Creates a participant, which sends nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the candidate znode. If it is not running, every operation waits for
    ///     it.
    ///   - path: The directory of the latch. It is created with its parents if it does not exist.
    ///   - id: The ID of the participant, stored as the data of its candidate znode. It may be empty.
    ///   - configuration: The pauses, the shutdown policy and the priority. With `.finishTerm`, a latch that leads
    ///     continues until it is cancelled.
    ///   - logger: The logger for the events of the participant.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument`.
    public init(
        client: ZooKeeperClient, path: String, id: String = "",
        configuration: LeaderConfiguration = LeaderConfiguration(), logger: Logger = .current
    ) throws {
        election = try Election(
            client: client, path: path, id: id, kind: .latch, configuration: configuration, logger: logger
        ) { _ in
            // Waits until the end of the term cancels the task.
            try await OneShot<Void>().wait()
        }
    }

    /// The directory of the latch.
    public var path: String { election.path }

    /// The ID of this participant.
    public var id: String { election.id }

    /// Whether this participant is certain to lead at this moment.
    ///
    /// The value turns false before another participant can lead. It is also correct in the first instruction after the
    /// process was suspended.
    /// - Complexity: One lock, one clock read and one comparison. Sends no requests.
    public var isLeader: Bool { election.term != nil }

    /// The current term with its fencing token, or `nil` if this participant does not lead.
    public var term: Term? { election.term }

    /// The states of this participant: the current state first, then every change in order.
    ///
    /// The sequence drops no state, however slowly it is read.
    public var states: AsyncStream<LeaderState> { election.broadcast.follow() }

    /// The current state of this participant.
    public var state: LeaderState { election.ended.value == nil ? election.broadcast.current : .stopped }

    /// Waits until this participant leads, and returns at once if it already does.
    ///
    /// - Parameter timeout: The longest time to wait, measured on the continuous clock. `nil` waits without limit.
    /// - Returns: The term, which was valid when it was checked.
    /// - Throws: ``RecipeError`` with code `.timedOut` if the timeout has passed, after which the latch stays in the
    ///   election, or `.stopped` if the latch has ended or ends while this waits; `CancellationError`.
    /// - Complexity: Sends no requests.
    @discardableResult
    public func waitUntilLeader(timeout: Duration? = nil) async throws -> Term {
        try await election.client.within(timeout, of: .election, at: path) { try await self.nextTerm() }
    }

    private func nextTerm() async throws -> Term {
        for await _ in states {
            if let term { return term }
        }
        try Task.checkCancellation()
        throw RecipeError(.stopped, in: .election, path: path)
    }

    /// Takes part in the election until the latch is stopped.
    ///
    /// On graceful shutdown and on cancellation, the flag turns false and the candidate znode is deleted before this
    /// method returns. The method does not wait for the deletion without a connection, and waits at most 2 s if the
    /// server does not answer. The znode is then deleted later, or removed with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` if the client ended first;
    ///   ``RecipeError`` with code `.invalidArgument` if the latch was run before.
    /// - Complexity: Joining an empty queue and starting the term takes 4 requests in 3 round trips. The first term of
    ///   an election takes 1 more of each. Starting the term when the participant ahead leaves takes 3 requests in 3
    ///   round trips.
    public func run() async throws { try await election.run() }

    /// Leaves the election permanently, so that ``run()`` returns.
    ///
    /// This method returns when the candidate znode is deleted. It returns at once without a connection, and after 2 s
    /// if the server does not answer. A latch that is not running is closed at once. Closing a closed latch has no
    /// effect.
    /// - Parameter mode: Whether ``states`` reports the end. Default: `.silent`.
    /// - Throws: `CancellationError`. The latch is closed nevertheless.
    /// - Complexity: 1 request in 1 round trip.
    public func close(_ mode: CloseMode = .silent) async throws {
        if mode.isSilent { election.broadcast.finish() }
        election.stop(.atOnce, .cancelled)
        if election.runOnce.hasBegun { try await election.ended.wait() }
    }

    /// Resigns leadership and rejoins the election at the end of the queue.
    ///
    /// This method returns when the candidate znode is deleted. It returns at once without a connection, and after 2 s
    /// if the server does not answer.
    /// - Throws: ``RecipeError`` with code `.notLeading`; `CancellationError`. If it throws the latter, the term ends
    ///   nevertheless.
    /// - Complexity: 1 request in 1 round trip.
    public func resign() async throws { try await election.resign() }

    /// Transfers leadership to a participant, whatever its position in the queue.
    ///
    /// See ``LeaderSelector/resign(to:timeout:)`` for the guarantees and the errors.
    /// - Parameters:
    ///   - id: The ID of the participant that leads next. If several participants have it, the first one in the queue.
    ///   - timeout: The time that the participant may take to accept. Default: 5 s.
    /// - Throws: As ``LeaderSelector/resign(to:timeout:)``.
    /// - Complexity: As ``LeaderSelector/resign(to:timeout:)``.
    public func resign(to id: String, timeout: Duration = .seconds(5)) async throws {
        try await election.resign(to: id, timeout: timeout)
    }

    /// Declares whether this participant is ready to lead.
    ///
    /// A participant that is ready and has a priority above 0 may ask the leader to hand over. One that is not ready
    /// still leads when its turn in the queue comes.
    ///
    /// - Parameter isReady: Whether this participant is ready.
    public func setReady(_ isReady: Bool) { election.readiness.send(isReady) }

    /// Returns all participants in the order of the queue, the leader first.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` if a candidate znode cannot be read; `CancellationError`.
    /// - Complexity: One listing, then one read for each participant, in batches of 64. Each batch takes 1 round trip.
    public func participants() async throws -> [ElectionParticipant] {
        try await LeaderSelector.participants(client: election.client, path: path)
    }

    /// Returns the participant at the front of the queue, or `nil` if there are no participants.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` if the candidate znode cannot be read; `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips; 3 while a transfer is in progress.
    public func leader() async throws -> ElectionParticipant? {
        try await LeaderSelector.leader(client: election.client, path: path)
    }

    /// Returns the leaders of this election: the current leader first, then each next one.
    ///
    /// See ``LeaderSelector/leaderChanges(client:path:)`` for the guarantees.
    public func leaderChanges() -> LeaderChanges {
        LeaderSelector.leaderChanges(client: election.client, path: path)
    }
}

/// Runs a latch for the duration of an operation.
///
/// Only the end of the operation stops the latch. The latch stays in the election while the operation reacts to a
/// cancellation or to the graceful shutdown of a service group.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The directory of the latch. It is created with its parents if it does not exist.
///   - id: The ID of the participant, stored as the data of its candidate znode. It may be empty.
///   - configuration: The pauses and the priority.
///   - logger: The logger for the events of the participant.
///   - operation: The operation, which starts at once, before the latch leads. When it returns or throws, the latch
///     leaves the election.
/// - Returns: The result of `operation`.
/// - Throws: The errors of ``LeaderLatch/init(client:path:id:configuration:logger:)``, or the error of `operation`. If
///   the operation fails because the latch has ended, the error of ``LeaderLatch/run()``.
/// - Complexity: As ``LeaderLatch/run()``.
public func withLeaderLatch<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    id: String = "",
    configuration: LeaderConfiguration = LeaderConfiguration(),
    logger: Logger = .current,
    _ operation: (LeaderLatch) async throws -> Result
) async throws -> Result {
    let latch = try LeaderLatch(client: client, path: path, id: id, configuration: configuration, logger: logger)
    return try await withInnerService(
        latch, reportsEnd: RecipeError.reportsEnd(of: .election), operation: operation)
}
