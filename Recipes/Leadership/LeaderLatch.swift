public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// A flag that is true in one of many processes: that of the leader.
///
/// ```swift
/// let latch = try LeaderLatch(client: client, path: "/app/leader", id: "web1")
/// // In a ServiceGroup the latch comes after its client.
/// if latch.isLeader { try await sendReminders() }
/// ```
///
/// For work that has to stop when the leadership is lost, ``LeaderSelector`` is the better choice: the flag may turn false
/// right after it was asked. A write that must not happen then carries the ``Term/fencingToken`` of ``term``, or goes
/// through ``Term/guarded(_:)``.
///
/// The latch is a service. It stays in the race until it is stopped: after the end of its session, after errors, and with
/// the server down at the start. Once it leads it does so until it is lost, resigned or stopped.
///
/// The znodes are those of Apache Curator's `LeaderLatch`, so that JVM processes can take part:
/// `PATH/_c_<uuid>-latch-0000000000`, ephemeral and sequential, with the participant's id as data. Beside them stands
/// `PATH-epoch`, which each term of this package writes once.
public final class LeaderLatch: Service, Sendable {
    /// What those who follow a latch are told when it is closed.
    public struct CloseMode: Sendable, Hashable {
        let isSilent: Bool

        /// ``LeaderLatch/states`` ends without another word.
        public static let silent = CloseMode(isSilent: true)
        /// ``LeaderLatch/states`` says that the latch leads no more, then that it has stopped, and ends.
        public static let notifying = CloseMode(isSilent: false)
    }

    let election: Election

    /// Makes a participant; nothing is sent before it runs.
    ///
    /// - Parameters:
    ///   - client: Whose session holds the candidate; it must be running, else everything waits.
    ///   - path: The latch's directory; it and its parents are created as needed.
    ///   - id: Names the participant to others, in the data of its candidate; may be empty.
    ///   - configuration: Pauses and priority; with `.finishTerm` a latch that leads goes on until it is cancelled.
    ///   - logger: Where the participant tells what happens to it.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument`.
    public init(
        client: ZooKeeperClient, path: String, id: String = "",
        configuration: LeaderConfiguration = LeaderConfiguration(), logger: Logger = .current
    ) throws {
        election = try Election(
            client: client, path: path, id: id, kind: .latch, configuration: configuration, logger: logger
        ) { _ in
            // Until the task is cancelled, which the end of the term does.
            try await OneShot<Void>().wait()
        }
    }

    /// The latch's directory.
    public var path: String { election.path }

    /// What names this participant to others.
    public var id: String { election.id }

    /// Whether this participant surely leads at this moment.
    ///
    /// Turns false before anybody else can lead, also in the first instruction after the process was stopped for a while.
    /// - Complexity: A lock, one clock read and a comparison; nothing is sent.
    public var isLeader: Bool { election.term != nil }

    /// The present term, with its token; `nil` while this participant does not lead.
    public var term: Term? { election.term }

    /// Where this participant stands: the current state first, then every change in order.
    ///
    /// Nothing is dropped, however slowly it is read.
    public var states: AsyncStream<LeaderState> { election.broadcast.follow() }

    /// Where this participant stands now.
    public var state: LeaderState { election.ended.value == nil ? election.broadcast.current : .stopped }

    /// Waits until this participant leads; returns at once while it does.
    ///
    /// - Returns: The term, valid when it was looked at.
    /// - Throws: ``RecipeError`` with code `.stopped` when the latch has ended or ends meanwhile;
    ///   `CancellationError`.
    @discardableResult
    public func awaitLeadership() async throws -> Term {
        for await _ in states {
            if let term { return term }
        }
        try Task.checkCancellation()
        throw RecipeError(.stopped, in: .election, path: path)
    }

    /// Takes part until stopped.
    ///
    /// On graceful shutdown and on cancellation the flag turns false and the candidate is deleted before this returns. While
    /// the connection is lost the candidate is not waited for: it is deleted on the next one, or goes with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` when the client ended first;
    ///   ``RecipeError`` with code `.invalidArgument` when it was run before.
    public func run() async throws { try await election.run() }

    /// Leaves the election for good: ``run()`` returns.
    ///
    /// Returns when the candidate is deleted, as far as the connection allows. A latch that does not run is closed at once,
    /// and one that is closed stays so.
    /// - Throws: `CancellationError`, and the latch is closed all the same.
    public func close(_ mode: CloseMode = .silent) async throws {
        if mode.isSilent { election.broadcast.finish() }
        election.stop(.atOnce, .cancelled)
        if election.runOnce.hasBegun { try await election.ended.wait() }
    }

    /// Gives the leadership up and stands again at the tail of the queue.
    ///
    /// Returns when the candidate is deleted, as far as the connection allows.
    /// - Throws: ``RecipeError`` with code `.notLeading`; `CancellationError`, and the term ends all the same.
    /// - Complexity: One request.
    public func resign() async throws { try await election.resign() }

    /// Has a participant lead next, whatever its place in the queue; as ``LeaderSelector/resign(to:waitingAtMost:)``.
    public func resign(to id: String, waitingAtMost patience: Duration = .seconds(5)) async throws {
        try await election.resign(to: id, waitingAtMost: patience)
    }

    /// This participant is ready to lead: with a priority it may ask for the leader's place from now on.
    public func ready() { election.readiness.send(true) }

    /// This participant is not ready any more: it asks no leader for its place.
    public func notReady() { election.readiness.send(false) }

    /// Everybody who takes part, in the order of the queue: the first one leads.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` when a candidate may not be read; `CancellationError`.
    /// - Complexity: One listing, and one read for each participant.
    public func participants() async throws -> [ElectionParticipant] {
        try await LeaderSelector.participants(at: path, client: election.client)
    }

    /// Who stands in front of the queue; `nil` when nobody takes part.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` when the candidate may not be read; `CancellationError`.
    /// - Complexity: One listing and one read.
    public func leader() async throws -> ElectionParticipant? {
        try await LeaderSelector.leader(at: path, client: election.client)
    }
}
