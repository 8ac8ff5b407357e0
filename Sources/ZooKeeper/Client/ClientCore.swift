internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

/// The state that all parts of a client share: its session, requests, watches and held znodes.
///
/// Decisions are made under one lock and performed outside of it. The transport delivers answers and events one at a
/// time. They are handled on its thread, in order, so that evidence for the session never overtakes a deletion that
/// came before it.
final class ClientCore: Sendable {
    struct State: Combining {
        enum Phase { case idle, running, closing, stopped }

        var phase = Phase.idle
        /// The reasons why a closing client still waits.
        var closing = Closing()
        var machine: SessionStateMachine
        var validity: SessionValidity
        var servers: [ServerAddress]
        var credentials: [AuthCredential]
        var isConnected = false
        var connection: (any TransportConnection)?
        var connections = ConnectionRecord()
        var live: SessionHandle?
        var requests: RequestQueue
        /// Whether a thread is sending requests.
        var isPerforming = false
        var watches: WatchTable
        var held = HeldSet<HeldNode>()
        var heartbeat = HeartbeatSchedule()
        var delayedCalls = DelayedCalls()
        /// Whether it was logged that this session has no room for a watch.
        var hasToldWatchRefusal = false
        var announcements = Announcements()
        var failure: ZooKeeperError?
        /// The names that could not be resolved the last time, with the reasons: each is logged once.
        var unresolved: Set<String> = []
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
    /// Wakes the loop that creates and closes connections.
    let connectionWakeUp = WakeUp()
    /// Wakes the loop that sends heartbeats and observes deadlines.
    let heartbeatWakeUp = WakeUp()
    /// Fires when the client starts to close: nothing is granted any more, and no task may wait for a session.
    let closing = OneShot<Void>()
    /// Fires when the session must be closed now: the client stops waiting for anything.
    let stopping = OneShot<Void>()
    let stopped = OneShot<Void>()
    /// Until its run has started, no loop observes deadlines.
    let runOnce = RunOnce()
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
                    requestedTimeout: configuration.sessionTimeout,
                    initialConnectionTimeout: configuration.initialConnectionTimeout, reportDelay: .seconds(5),
                    seed: randomness.next()),
                validity: SessionValidity(margin: configuration.validityMargin),
                servers: configuration.servers,
                credentials: configuration.auth,
                requests: RequestQueue(maximumInFlight: configuration.maximumRequestsInFlight),
                watches: WatchTable(maximumPacketSize: configuration.maximumPacketSize)
            ))
    }

    func cleanUp(_ job: Janitor.Job) { janitor.add(job) }

    /// Returns a logger whose metadata identifies the session.
    func logger(for session: Session?) -> Logger {
        guard let session else { return logger }
        var logger = logger
        logger[metadataKey: "zookeeper.session.id"] = "\(session.id)"
        logger[metadataKey: "zookeeper.session.epoch"] = "\(session.epoch)"
        return logger
    }
}
