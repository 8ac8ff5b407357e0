public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// Elects one leader among processes, again and again, and runs a closure in the one that leads.
///
/// ```swift
/// let selector = try LeaderSelector(client: client, path: "/app/leader", id: "batch1") { term in
///     for await job in jobs { try store.write(job, token: term.fencingToken) }
/// }
/// // In a ServiceGroup the selector comes after its client.
/// try await ServiceGroup(services: [client, selector], logger: logger).run()
/// ```
///
/// The selector is a service: run it after its client. It stays in the race until it is stopped: after a term, after
/// errors, with a pause that grows when they follow one another quickly, after the end of its session, and with the server
/// down at the start. ``states`` tells where it stands and what went wrong.
///
/// The closure is the term: it runs in a child task while this participant leads. When the term is lost (own znode deleted,
/// session expired, or not proved in time), resigned or stopped, the closure is cancelled and **awaited**; only then is
/// the place given up. A closure that does not react to cancellation delays that; what it writes to refuses it by the
/// ``Term/fencingToken``. Returning from the closure ends the term as well.
///
/// While the connection is lost a leader stays the leader until its deadline, and a participant that waits keeps its place
/// as long as its session lives.
///
/// The znodes are those of Apache Curator's `LeaderSelector`, so that JVM processes can take part:
/// `PATH/_c_<uuid>-lock-0000000000`, ephemeral and sequential, with the participant's id as data. Beside them stands
/// `PATH-epoch`, which each term of this package writes once.
public final class LeaderSelector: Service, Sendable {
    let election: Election

    /// Makes a participant; nothing is sent before it runs.
    ///
    /// - Parameters:
    ///   - client: Whose session holds the candidate; it must be running, else everything waits.
    ///   - path: The election's directory; it and its parents are created as needed.
    ///   - id: Names the participant to others, in the data of its candidate; several with one id cannot be told apart.
    ///   - configuration: Pauses, shutdown, priority.
    ///   - logger: Where the participant tells what happens to it.
    ///   - lead: The term; runs as a child task of ``run()``, once for each term and never twice at a time.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument` for an
    ///   empty id, which Apache Curator would replace by an address, and for a configuration that cannot be.
    public convenience init(
        client: ZooKeeperClient,
        path: String,
        id: String,
        configuration: LeaderConfiguration = LeaderConfiguration(),
        logger: Logger = .current,
        lead: @escaping @Sendable (Term) async throws -> Void
    ) throws {
        try self.init(
            client: client, path: path, id: id, configuration: configuration, logger: logger, grace: .zero, lead: lead)
    }

    /// - Parameter grace: How long a term that is ended in order may go on before its closure is cancelled.
    init(
        client: ZooKeeperClient, path: String, id: String, configuration: LeaderConfiguration, logger: Logger,
        grace: Duration, lead: @escaping @Sendable (Term) async throws -> Void
    ) throws {
        guard !id.isEmpty else {
            throw RecipeError(
                .invalidArgument, in: .election, path: path,
                message: "id is empty; name the participant, as by its host and process: \"batch1-4711\"")
        }
        election = try Election(
            client: client, path: path, id: id, kind: .lock, configuration: configuration, logger: logger, grace: grace,
            lead: lead)
    }

    /// Leaves the election when something happens, as one who resigns.
    package func leave(when signal: OneShot<Void>) {
        // Weakly: the election keeps the closure of the term, which may keep the signal.
        signal.observe { [weak election] in election?.stop(.atOnce, .resigned) }
    }

    /// The election's directory.
    public var path: String { election.path }

    /// What names this participant to others.
    public var id: String { election.id }

    /// Where this participant stands: the current state first, then every change in order.
    ///
    /// Nothing is dropped, however slowly it is read. The sequence ends when ``run()`` has.
    public var states: AsyncStream<LeaderState> { election.broadcast.follow() }

    /// Where this participant stands now.
    public var state: LeaderState { election.broadcast.current }

    /// The present term; `nil` while this participant does not lead, judged from memory with the deadline in it.
    public var term: Term? { election.term }

    /// Whether this participant surely leads at this moment; from memory.
    public var isLeader: Bool { term != nil }

    /// Takes part until stopped.
    ///
    /// On graceful shutdown a participant that waits leaves the queue at once, and a term ends as
    /// ``LeaderConfiguration/onGracefulShutdown`` says; on cancellation it ends at once. The closure is awaited and the
    /// candidate deleted before this returns. While the connection is lost the candidate is not waited for: it is deleted
    /// on the next one, or goes with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` when the client ended first;
    ///   ``RecipeError`` with code `.invalidArgument` when it was run before. Everything else is told by
    ///   ``states`` and tried again.
    public func run() async throws { try await election.run() }

    /// Ends the present term and stands again at the tail of the queue.
    ///
    /// Returns when the closure has returned and the candidate is deleted, as far as the connection allows. Called within
    /// the closure it is cancelled with it: there, return or call ``Term/resign()``.
    /// - Throws: ``RecipeError`` with code `.notLeading`; `CancellationError`, and the term ends all the same.
    /// - Complexity: One request.
    public func resign() async throws { try await election.resign() }

    /// Ends the present term and has a participant lead next, whatever its place in the queue.
    ///
    /// The participant is offered the place. When it stands next to this leader, the term ends and the participant leads,
    /// with one event and one listing and nobody in between; others keep their order behind it. This returns when the
    /// closure has returned and the candidate is deleted, as far as the connection allows.
    ///
    /// A participant accepts an offer if it is of this package, runs, and its ``LeaderConfiguration/acceptsTransfers`` is
    /// set. JVM processes do not know offers.
    ///
    /// - Parameters:
    ///   - id: Who is to lead; the first in the queue's order when several have it.
    ///   - patience: How long the participant may take to come; the closure's end is not part of it.
    /// - Throws: ``RecipeError``: `.notLeading`; `.invalidArgument` for the own id; `.unknownParticipant`;
    ///   `.transferRefused`; `.timedOut`, and the participant cannot come any more. With each of them this leader goes on.
    ///   With `.lost` the term was lost meanwhile. `ZooKeeperError`, such as `.noAuth`; `CancellationError`, and the
    ///   participant may lead next.
    /// - Complexity: A listing, a read for each participant, five requests one after the other, one to end.
    public func resign(to id: String, waitingAtMost patience: Duration = .seconds(5)) async throws {
        try await election.resign(to: id, waitingAtMost: patience)
    }

    /// This participant is ready to lead: with a priority it may ask for the leader's place from now on.
    ///
    /// A participant that is not ready leads all the same when its turn in the queue comes.
    public func ready() { election.readiness.send(true) }

    /// This participant is not ready any more: it asks no leader for its place.
    public func notReady() { election.readiness.send(false) }
}
