public import Logging
public import Metrics
public import ServiceLifecycle
internal import Synchronization
internal import ZooKeeperBridge
package import ZooKeeperTransport

/// A client of a ZooKeeper ensemble.
///
/// Creating it never connects; ``run()`` does, and owns the sessions until it is stopped: it reconnects, waits with
/// growing pauses while servers are away, and begins a new session, with a new epoch, when one has expired.
///
/// ```swift
/// let client = try ZooKeeperClient(configuration: .init(connectionString: "127.0.0.1:2181"))
/// // In a ServiceGroup the client comes before everything that uses it.
/// try await ServiceGroup(services: [client, worker], logger: logger).run()
/// ```
///
/// Requests may be made at any time and from any task. Before the session is there they wait; after the client has
/// stopped they fail with `.clientStopped`. Reads are repeated when they were lost with a connection; a write that may
/// or may not have happened fails with ``ZooKeeperError/isOutcomeUnknown`` set. Cancelling the task ends the wait at
/// once. Requests of one task are executed in their order.
public final class ZooKeeperClient: Service, Sendable {
    /// What the client was made with.
    public let configuration: ZooKeeperClientConfiguration

    let core: ClientCore

    /// Makes a client that is not connected.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, naming the setting that is wrong.
    public convenience init(
        configuration: ZooKeeperClientConfiguration,
        logger: Logger = .current,
        metricsFactory: (any MetricsFactory)? = nil
    ) throws(ZooKeeperError) {
        try self.init(
            configuration: configuration, transport: CTransport(logger: logger), resolver: SystemNameResolver(),
            clock: SystemMonotonicClock(), logger: logger, metricsFactory: metricsFactory)
    }

    /// Makes a client over another transport, in another time, by other chances.
    package init(
        configuration: ZooKeeperClientConfiguration, transport: any Transport, resolver: any NameResolver,
        clock: any MonotonicClock, randomness: Randomness = Randomness(), logger: Logger,
        metricsFactory: (any MetricsFactory)? = nil
    ) throws(ZooKeeperError) {
        try configuration.validate()
        self.configuration = configuration
        core = ClientCore(
            configuration: configuration, transport: transport, resolver: resolver, clock: clock,
            randomness: randomness, logger: logger,
            metrics: ZooKeeperMetrics(factory: metricsFactory ?? MetricsSystem.factory))
    }

    /// Keeps a session until the client is stopped.
    ///
    /// On graceful shutdown and on cancellation everything held in the session becomes invalid at once, and the tasks of
    /// bodies, terms and windows are cancelled. The session is kept alive until all of them have ended, and then closed,
    /// which deletes its ephemeral znodes: nobody else is granted what a body still winds down under. Without a connection
    /// they are waited for as long as the server may keep the session. Locks that are held by handle are waited for until
    /// ``ZooKeeperClientConfiguration/handleReleaseTimeout``. ``stopImmediately()`` waits for nobody.
    ///
    /// A graceful shutdown also finishes the requests that were made, until the session timeout has passed; without a
    /// connection it does not wait for them. Cancellation does not wait for requests.
    /// - Throws: ``ZooKeeperError`` with code `.authenticationFailed` when the server refuses a credential,
    ///   `.invalidArgument` when the client was run before.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await core.run()
        } onGracefulShutdown: {
            self.core.close(.gracefully)
        }
    }

    /// Stops the client as a graceful shutdown does; ``run()`` returns when the session is closed.
    ///
    /// Before ``run()`` it makes that return at once; called again, it changes nothing.
    public func triggerGracefulShutdown() {
        core.close(.gracefully)
    }

    /// Closes the session now, whatever is held in it.
    ///
    /// Grants become invalid first. Bodies, terms and windows that need time to end go on while the server already gives
    /// their locks to others: use this only if the process ends right after it, or if nothing is held.
    public func stopImmediately() {
        core.close(.atOnce)
    }

    /// Where the client stands: the current state first, then every change in order.
    ///
    /// Nothing is dropped, however slowly it is read.
    /// The sequence ends when the client has stopped.
    public var states: AsyncStream<SessionState> { core.states.follow() }

    /// Where the client stands now.
    public var state: SessionState { core.states.current }

    /// The present session; `nil` before the first and between two.
    public var session: Session? { core.state.withLock { $0.live?.publicSession } }

    /// Waits until the client is connected, and returns the current session.
    ///
    /// Call it at the start of a program that should fail at once when no server can be reached. Requests do not need it: they
    /// wait for the session by themselves.
    ///
    /// - Parameter timeout: The limit for the wait; `nil` waits without limit.
    /// - Throws: ``ZooKeeperError`` with code `.operationTimeout` and the addresses if there is no connection in time,
    ///   `.authenticationFailed` or `.clientStopped`; `CancellationError`.
    /// - Complexity: Sends no request.
    @discardableResult
    public func waitUntilConnected(timeout: Duration? = nil) async throws -> Session {
        guard let timeout else { return try await liveSession().publicSession }
        let connected = try await clock.run(until: clock.now + timeout) { try await self.liveSession().publicSession }
        guard let connected else { throw core.noConnection(within: timeout, "timeout") }
        return connected
    }

    /// Until when the present session, and what it holds, is surely alive at the ensemble.
    ///
    /// Moved by answered writes only; while nothing is held, no writes are made for its sake and it runs out.
    /// `nil` when nothing is sure.
    public var validUntil: ContinuousClock.Instant? {
        guard let until = core.state.withLock({ $0.live?.validUntil }), until > core.clock.now else { return nil }
        return core.clock.continuousInstant(until)
    }

    /// Whether the present session is surely alive at the ensemble; from memory.
    public var isValid: Bool { validUntil != nil }

    /// Moves the client to other servers of the same ensemble, with the same session.
    ///
    /// Requests under way may fail as if the connection had been lost; watches are told that they were interrupted.
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration` when the list is empty or an address is wrong.
    public func updateServers(_ servers: [ServerAddress]) throws(ZooKeeperError) {
        var changed = configuration
        changed.servers = servers
        try changed.validate()
        core.state.withLock { ($0.servers, $0.requests.packetLimit) = (servers, ServerPacketLimit()) }
        core.decide { $0.replaceConnection() }
    }

    /// The servers that the client connects to, by ``updateServers(_:)`` or its configuration.
    package var servers: [ServerAddress] { core.state.withLock { $0.servers } }
}

/// Runs a client for as long as an operation takes.
///
/// - Parameters:
///   - configuration: How to reach the ensemble.
///   - logger: Where the client tells what happens to it.
///   - metricsFactory: Where the client counts and measures; `nil` takes the one that swift-metrics was set up with.
///   - operation: Uses the client; when it returns or throws, the client is stopped and its session closed. Neither a
///     cancellation of the calling task nor a graceful shutdown of a surrounding service group stops the client before:
///     the operation decides what to do about them.
/// - Returns: What `operation` returned.
/// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, or the error of `operation`.
public func withZooKeeperClient<Result: Sendable>(
    configuration: ZooKeeperClientConfiguration,
    logger: Logger = .current,
    metricsFactory: (any MetricsFactory)? = nil,
    operation: (ZooKeeperClient) async throws -> Result
) async throws -> Result {
    let client = try ZooKeeperClient(configuration: configuration, logger: logger, metricsFactory: metricsFactory)
    return try await client.running(operation)
}

extension ZooKeeperClient {
    /// Runs the client for as long as an operation takes.
    ///
    /// - Returns: What `operation` returned.
    /// - Throws: The error of `operation`.
    package func running<Result: Sendable>(
        _ operation: (ZooKeeperClient) async throws -> Result
    ) async throws -> Result {
        try await withInnerService(self, stop: { $0.triggerGracefulShutdown() }, operation: operation)
    }
}
