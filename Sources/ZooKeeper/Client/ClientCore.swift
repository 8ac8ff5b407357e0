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
    struct State {
        enum Phase { case idle, running, draining, stopped }

        var phase = Phase.idle
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
        var live: LiveSession?
        var outbox: Deque<Outgoing> = []
        var isPumping = false
        var inFlight = 0
        var watches = WatchTable()
        var holds: [ObjectIdentifier: HeldNode] = [:]
        var lastSent = MonotonicInstant.distantPast
        var lastProofSent = MonotonicInstant.distantPast
        var isHeartbeatInFlight = false
        var proofOffset = 0
        var deadlines: Deque<RequestDeadline> = []
        var failure: ZooKeeperError?
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
    let logger: Logger
    let metrics: ZooKeeperMetrics
    let janitor: Janitor
    let states = Broadcast<SessionState>(.connecting)
    /// Wakes the loop that makes and closes connections.
    let connectionWakeUp = WakeUp()
    /// Wakes the loop that proves the session and watches deadlines.
    let heartbeatWakeUp = WakeUp()
    let drained = OneShot<Void>()
    let stopped = OneShot<Void>()
    let state: Mutex<State>

    init(
        configuration: ZooKeeperClientConfiguration, transport: any Transport, resolver: any NameResolver,
        clock: any MonotonicClock, logger: Logger, metrics: ZooKeeperMetrics
    ) {
        self.configuration = configuration
        self.transport = transport
        self.resolver = resolver
        self.clock = clock
        self.logger = logger
        self.metrics = metrics
        encoder = RequestEncoder(configuration)
        janitor = Janitor(clock: clock)
        state = Mutex(
            State(
                machine: SessionStateMachine(requestedTimeout: configuration.sessionTimeout),
                validity: SessionValidity(margin: configuration.validityMargin),
                servers: configuration.servers,
                credentials: configuration.auth
            ))
    }

    func cleanUp(_ job: CleanUp, session: LiveSession) -> OneShot<Void> {
        let done = OneShot<Void>()
        janitor.add(Janitor.Job(work: job, session: session, done: done))
        return done
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
