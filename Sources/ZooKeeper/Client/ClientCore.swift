internal import DequeModule
internal import Logging
internal import Synchronization
internal import ZooKeeperBridge

/// What all parts of a client share: its session, its requests, its watches, and what it holds.
///
/// Everything is decided under one lock and performed outside of it. Answers and events come from the transport one at a
/// time; they are handled here on its thread, in order, so that a proof of the session never overtakes the deletion that
/// came before it.
final class ClientCore: Sendable {
    struct State: Combining {
        enum Phase { case idle, running, closing, stopped }

        var phase = Phase.idle
        /// Why a client that is closing still waits.
        var closing = Closing()
        var machine: SessionStateMachine
        var validity: SessionValidity
        var servers: [ServerAddress]
        var credentials: [AuthCredential]
        var isConnected = false
        var connection: (any TransportConnection)?
        /// Counts connection objects; what an earlier one still says is not listened to.
        var connectionNumber = 0
        /// Counts how often a connection came to stand, also one and the same object's.
        var establishments = 0
        /// After this the present connection was established for certain.
        var establishedAfter = MonotonicInstant.distantPast
        /// When the session is known to have been alive at the servers: unlike ``establishedAfter``, attempts do not count.
        var aliveAt = MonotonicInstant.distantPast
        var live: LiveSession?
        var outbox: Deque<Outgoing> = []
        /// When the outbox has grown to this, what was given up in it is thrown away.
        var pruneOutboxAt = State.leastPruned
        /// Whether a thread is sending requests.
        var isPerforming = false
        /// Requests were refused at once: none is sent before the transport has said what has become of the connection.
        var isStalled = false
        var inFlight = 0
        var watches: WatchTable
        var packetLimit = ServerPacketLimit()
        /// The own znodes that are valid or may become so: what heartbeats check.
        var holds: [ObjectIdentifier: HeldNode] = [:]
        /// The own znodes whose holders have not let go, valid or not: the session is not closed before they have.
        ///
        /// One that nothing refers to any more has no holder.
        var unreleased: [ObjectIdentifier: WeakHold] = [:]
        var lastSent = MonotonicInstant.distantPast
        /// When the last write that was answered was sent.
        var lastProofSent = MonotonicInstant.distantPast
        /// A heartbeat that failed is repeated after this.
        var heartbeatPausedUntil = MonotonicInstant.distantPast
        /// What is to be tried once more after a pause, and when.
        var retries: [@Sendable () -> Void] = []
        var retryAt: MonotonicInstant?
        /// Whether it was logged that this session has no room for a watch.
        var hasToldWatchRefusal = false
        var isHeartbeatInFlight = false
        var proofOffset = 0
        var deadlines: Deque<RequestDeadline> = []
        /// Until when the heartbeat loop sleeps; `nil` for until it is woken.
        var nextLook: MonotonicInstant?
        var announcements = Announcements()
        var failure: ZooKeeperError?
        /// The names that could not be resolved the last time, with the reasons: each is logged once.
        var unresolved: Set<String> = []
    }

    struct WeakHold {
        weak var hold: HeldNode?
    }

    struct RequestDeadline {
        var instant: MonotonicInstant
        var request: PendingRequest
    }

    let configuration: ZooKeeperClientConfiguration
    let encoder: RequestEncoder
    let transport: any Transport
    let resolver: any NameResolver
    let clock: any MonotonicClock
    let randomness: Randomness
    let logger: Logger
    let metrics: ZooKeeperMetrics
    let janitor: Janitor
    /// The room of the watches that the program sets itself.
    let programShare = WatchShare()
    let states = Broadcast<SessionState>(.connecting)
    /// Wakes the loop that makes and closes connections.
    let connectionWakeUp = WakeUp()
    /// Wakes the loop that proves the session and watches deadlines.
    let heartbeatWakeUp = WakeUp()
    /// The client is to end: nothing is granted any more, and nobody is to wait for a session.
    let closing = OneShot<Void>()
    /// The session is to be closed now; what the client waits for by itself is given up.
    let stopping = OneShot<Void>()
    let stopped = OneShot<Void>()
    /// Whether `run()` has begun: before that nobody watches deadlines.
    let hasBegun = Atomic(false)
    let state: Mutex<State>

    init(
        configuration: ZooKeeperClientConfiguration, transport: any Transport, resolver: any NameResolver,
        clock: any MonotonicClock, randomness: Randomness, logger: Logger, metrics: ZooKeeperMetrics
    ) {
        self.configuration = configuration
        self.transport = transport
        self.resolver = resolver
        self.clock = clock
        self.randomness = randomness
        self.logger = logger
        self.metrics = metrics
        encoder = RequestEncoder(configuration)
        janitor = Janitor(clock: clock, randomness: randomness, logger: logger)
        state = Mutex(
            State(
                machine: SessionStateMachine(
                    requestedTimeout: configuration.sessionTimeout, seed: randomness.next()),
                validity: SessionValidity(margin: configuration.validityMargin),
                servers: configuration.servers,
                credentials: configuration.auth,
                watches: WatchTable(maximumPacketSize: configuration.maximumPacketSize)
            ))
    }

    func cleanUp(_ job: CleanUp, session: LiveSession, after: OneShot<Void>?, done: OneShot<Void>) {
        janitor.add(Janitor.Job(work: job, session: session, after: after, done: done))
    }

    /// A logger that says which session a line is about.
    func logger(for session: Session?) -> Logger {
        guard let session else { return logger }
        var logger = logger
        logger[metadataKey: "zookeeper.session.id"] = "\(session.id)"
        logger[metadataKey: "zookeeper.session.epoch"] = "\(session.epoch)"
        return logger
    }
}
