public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// An election that chooses one leader among many processes and runs a closure in the leader.
///
/// ```swift
/// let selector = try LeaderSelector(client: client, path: "/app/leader", id: "batch1") { term in
///     for await job in jobs { try store.write(job, token: term.fencingToken) }
/// }
/// // In a ServiceGroup the selector comes after its client.
/// try await ServiceGroup(services: [client, selector], logger: logger).run()
/// ```
///
/// The selector is a service. Run it after its client. It takes part in the election until it is stopped: it rejoins
/// after a term, after errors and after its session has expired, and it waits for the server if that is down at the
/// start. The pause before it rejoins grows when errors follow one another quickly. ``states`` reports the state of the
/// participant and its failures.
///
/// The closure is the term. It runs in a child task while this participant leads. The closure is cancelled when the
/// term is lost, resigned or stopped. A term is lost when the candidate znode is deleted, the session expires, or the
/// servers do not confirm the session in time. The selector **waits for the closure** to return and only then releases
/// the leadership. A closure that does not react to cancellation delays this. The systems that it writes to must then
/// refuse its writes by the ``Term/fencingToken``. The term also ends when the closure returns.
///
/// While the connection is lost, a leader leads until its deadline, and a waiting participant keeps its position in the
/// queue as long as its session exists.
///
/// The znodes are those of Apache Curator's `LeaderSelector`, so JVM processes can take part:
/// `PATH/_c_<uuid>-lock-0000000000`, ephemeral and sequential, with the participant's ID as data. This package also
/// creates `PATH-epoch` next to the directory and writes it once in each term.
public final class LeaderSelector: Service, Sendable {
    let election: Election

    /// Creates a participant, which sends nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the candidate znode. If it is not running, every operation waits for
    ///     it.
    ///   - path: The directory of the election. It is created with its parents if it does not exist.
    ///   - id: The ID of the participant, stored as the data of its candidate znode. Participants with the same ID
    ///     cannot be told apart.
    ///   - configuration: The pauses, the shutdown policy and the priority.
    ///   - logger: The logger for the events of the participant.
    ///   - lead: The closure that runs in each term, as a child task of ``run()``. It never runs twice at the same
    ///     time.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument` if the
    ///   configuration is invalid or the ID is empty. Apache Curator would replace an empty ID with an address.
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

    /// Creates a participant whose terms have a grace period.
    ///
    /// - Parameter grace: The time for which a term may continue after its leader has ended it, before its closure is
    ///   cancelled.
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

    /// Leaves the election when a signal is set, as if the leader resigned.
    package func leave(when signal: OneShot<Void>) {
        // The reference is weak because the election retains the term's closure, which may retain the signal.
        signal.observe { [weak election] in election?.stop(.atOnce, .resigned) }
    }

    /// The directory of the election.
    public var path: String { election.path }

    /// The ID of this participant.
    public var id: String { election.id }

    /// The states of this participant: the current state first, then every change in order.
    ///
    /// The sequence drops no state, however slowly it is read. It ends when ``run()`` has returned.
    public var states: AsyncStream<LeaderState> { election.broadcast.follow() }

    /// The current state of this participant.
    public var state: LeaderState { election.broadcast.current }

    /// The current term, or `nil` if this participant does not lead.
    ///
    /// The value comes from memory and takes the deadline of the session into account.
    public var term: Term? { election.term }

    /// Whether this participant is certain to lead at this moment; the value comes from memory.
    public var isLeader: Bool { term != nil }

    /// Takes part in the election until the selector is stopped.
    ///
    /// On graceful shutdown, a waiting participant leaves the queue at once, and a term in progress ends according to
    /// ``LeaderConfiguration/onGracefulShutdown``. On cancellation, a term ends at once. Before this method returns,
    /// the closure has returned and the candidate znode is deleted. The method does not wait for the deletion without a
    /// connection, and waits at most 2 s if the server does not answer. The znode is then deleted later, or removed
    /// with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` if the client ended first;
    ///   ``RecipeError`` with code `.invalidArgument` if the selector was run before. All other errors are reported by
    ///   ``states``, and the participant tries again.
    /// - Complexity: Joining an empty queue and starting the term takes 4 requests in 3 round trips. The first term of
    ///   an election takes 1 more of each. Starting the term when the participant ahead leaves takes 3 requests in 3
    ///   round trips.
    public func run() async throws { try await election.run() }

    /// Ends the current term and rejoins the election at the end of the queue.
    ///
    /// This method returns when the closure has returned and the candidate znode is deleted. Without a connection, it
    /// does not wait for the deletion. If the server does not answer, it waits at most 2 s. A call within the closure
    /// is cancelled together with it. Within the closure, return or call ``Term/resign()`` instead.
    /// - Throws: ``RecipeError`` with code `.notLeading`; `CancellationError`. If it throws the latter, the term ends
    ///   nevertheless.
    /// - Complexity: 1 request in 1 round trip.
    public func resign() async throws { try await election.resign() }

    /// Transfers leadership to a participant, whatever its position in the queue.
    ///
    /// The leader offers its position to the participant. When the participant has joined the queue right behind the
    /// leader, the term ends and the participant leads. It needs one watch event and one listing, and no other
    /// participant leads in between. The others keep their order behind it. This method returns when the closure has
    /// returned and the candidate znode is deleted. Without a connection, it does not wait for the deletion. If the
    /// server does not answer, it waits at most 2 s.
    ///
    /// A participant accepts an offer if it uses this package, is running, and its
    /// ``LeaderConfiguration/acceptsTransfers`` is `true`. JVM processes do not support transfers.
    ///
    /// - Parameters:
    ///   - id: The ID of the participant that leads next. If several participants have it, the first one in the queue.
    ///   - timeout: The time that the participant may take to accept. The time that the closure needs to end is not
    ///     included. Default: 5 s.
    /// - Throws: ``RecipeError`` with one of these codes, after which this leader continues: `.notLeading` if this
    ///   participant does not lead; `.invalidArgument` if `id` is its own ID; `.unknownParticipant` if no participant
    ///   has the ID; `.transferRefused` if the participant refuses; `.timedOut` if it does not accept in time, after
    ///   which it can no longer accept. ``RecipeError`` with code `.lost` if the term was lost during the transfer.
    ///   `ZooKeeperError`, such as `.noAuth`. `CancellationError`, after which the participant may still lead next.
    /// - Complexity: One listing and one read for each participant, in batches of 64; then 6 requests in 5 round trips
    ///   for the transfer, and 1 request to end the term.
    public func resign(to id: String, timeout: Duration = .seconds(5)) async throws {
        try await election.resign(to: id, timeout: timeout)
    }

    /// Leaves the election after the current term, so that ``run()`` returns.
    ///
    /// This method returns at once. A participant that leads continues until its term ends, and does not rejoin. A
    /// participant that waits leaves the queue at once. To lead once more and then leave, use
    /// ``withLeadership(client:path:id:timeout:configuration:logger:_:)``.
    public func stopAfterTerm() { election.stop(.afterTerm, .resigned) }

    /// Declares whether this participant is ready to lead.
    ///
    /// A participant that is ready and has a priority above 0 may ask the leader to hand over. One that is not ready
    /// still leads when its turn in the queue comes.
    ///
    /// - Parameter isReady: Whether this participant is ready.
    public func setReady(_ isReady: Bool) { election.readiness.send(isReady) }
}

/// Waits until this process leads, runs an operation once, and leaves the election.
///
/// ```swift
/// try await withLeadership(client: client, path: "/app/migration", id: "web1", timeout: .seconds(60)) { term in
///     try await migrate(token: term.fencingToken)
/// }
/// ```
///
/// The operation runs in the first term, as a child task. If the term is lost, resigned or transferred, the operation is
/// cancelled and **awaited**. It does not run again. The candidate znode is deleted after the operation has ended.
///
/// While the process waits, errors of the ensemble, such as a missing permission, are logged, and the participant tries
/// again. Only the timeout, the cancellation of the calling task and a graceful shutdown end the wait. On graceful
/// shutdown, the operation ends according to ``LeaderConfiguration/onGracefulShutdown``.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The directory of the election. It is created with its parents if it does not exist.
///   - id: The ID of the participant, stored as the data of its candidate znode.
///   - timeout: The limit for the wait until the term starts, including the wait for a connection. `nil` waits without
///     limit.
///   - configuration: The pauses, the shutdown policy and the priority.
///   - logger: The logger for the events of the participant.
///   - operation: The operation.
/// - Returns: The result of `operation`.
/// - Throws: The error of `operation`; ``RecipeError`` with code `.timedOut` if the term has not started in time, `.lost`
///   if the term was lost, whatever the operation returned, or `.invalidArgument`; `ZooKeeperError` with code
///   `.invalidPath`, or with `.clientStopped` or `.authenticationFailed` if the client ended first; `CancellationError`
///   if the task was cancelled, or the process was shut down, before the term started.
/// - Complexity: As ``LeaderSelector/run()``, and 1 request to leave.
public func withLeadership<Value: Sendable>(
    client: ZooKeeperClient,
    path: String,
    id: String,
    timeout: Duration? = nil,
    configuration: LeaderConfiguration = LeaderConfiguration(),
    logger: Logger = .current,
    _ operation: @escaping @Sendable (Term) async throws -> Value
) async throws -> Value {
    // Whether a term has started; `false` if the timeout passed first.
    let start = OneShot<Bool>()
    let outcome = OneShot<Result<Value, any Error>>()
    let selector = try LeaderSelector(
        client: client, path: path, id: id, configuration: configuration, logger: logger
    ) { term in
        guard start.set(true) else { return }
        outcome.set(await term.outcome(of: operation))
    }
    // The reference is weak because the election retains the term's closure, which retains the signal.
    start.observe { [weak election = selector.election] hasStarted in
        election?.stop(hasStarted ? .afterTerm : .atOnce, .resigned)
    }
    let deadline = AcquisitionTimeout(atMost: timeout).deadline(client)
    do {
        try await alongside({
            guard let deadline, (try? await client.clock.sleep(until: deadline)) != nil else { return }
            start.set(false)
        }) {
            try await selector.run()
        }
    } catch {
        guard outcome.value != nil else { throw error }
    }
    if let outcome = outcome.value { return try outcome.get() }
    guard start.value == false, let timeout else { throw CancellationError() }
    throw RecipeError(.timedOut, in: .election, path: path, message: "waited for \(timeout)")
}

extension Term {
    /// Runs an operation, and returns its result unless the term was lost.
    fileprivate func outcome<Value: Sendable>(
        of operation: @Sendable (Term) async throws -> Value
    ) async -> Result<Value, any Error> {
        let result: Result<Value, any Error>
        do { result = .success(try await operation(self)) } catch { result = .failure(error) }
        // The last statements of the operation may have run after the deadline, even if nobody noticed it then.
        guard !isValid else { return result }
        let reason = held.lossReason ?? held.session.endReason ?? .deadlinePassed
        return .failure(RecipeError(.lost, in: .election, path: path, lossReason: reason))
    }
}
