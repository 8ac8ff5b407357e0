public import Logging
public import Metrics
public import ServiceLifecycle
internal import Synchronization
internal import ZooKeeperBridge
package import ZooKeeperTransport

/// A client of a ZooKeeper ensemble.
///
/// Creating a client does not connect it. ``run()`` connects it and maintains its sessions until the client is stopped.
/// It reconnects after a lost connection, and waits between attempts with growing pauses while no server can be
/// reached. When a session has expired, it starts a new one with the next epoch.
///
/// ```swift
/// let client = try ZooKeeperClient(configuration: .init(connectionString: "127.0.0.1:2181"))
/// // In a ServiceGroup the client comes before everything that uses it.
/// try await ServiceGroup(services: [client, worker], logger: logger).run()
/// ```
///
/// Requests can be made at any time and from any task. Until there is a session, they wait. After the client has
/// stopped, they fail with `.clientStopped`. A read that is lost with its connection is repeated. A write that may or
/// may not have been executed fails with ``ZooKeeperError/isOutcomeUnknown`` set. If the task is cancelled, its wait
/// ends immediately. Requests of one task are executed in their order.
///
/// In addition to the errors that a method lists, a request throws ``ZooKeeperError`` with code `.invalidPath` or
/// `.dataTooLarge` before it is sent, `.operationTimeout` if ``RetryPolicy/timeout`` passes first, `.connectionLoss`
/// or `.sessionExpired` if it is lost and must not be repeated, `.authenticationFailed`, and `.clientStopped`.
public final class ZooKeeperClient: Service, Sendable {
    /// The configuration that the client was created with.
    public let configuration: ZooKeeperClientConfiguration

    let core: ClientCore

    /// Creates a client that is not connected.
    ///
    /// - Parameters:
    ///   - configuration: The servers and all settings.
    ///   - logger: Receives the log messages of the client. Default: `Logger.current`.
    ///   - metricsFactory: Receives the metrics of the client; `nil` uses the factory that swift-metrics was
    ///     bootstrapped with. Default: `nil`.
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, whose message names the invalid setting; also if
    ///   ``ZooKeeperClientConfiguration/tls`` is set and the C library has no TLS, or a file cannot be used.
    public convenience init(
        configuration: ZooKeeperClientConfiguration,
        logger: Logger = .current,
        metricsFactory: (any MetricsFactory)? = nil
    ) throws(ZooKeeperError) {
        try configuration.tls?.requireUsable()
        try self.init(
            configuration: configuration, transport: CTransport(logger: logger), resolver: SystemNameResolver(),
            clock: SystemMonotonicClock(), logger: logger, metricsFactory: metricsFactory)
    }

    /// Creates a client with a different transport, name resolver, clock and source of randomness.
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

    /// Runs the client, and maintains a session until the client is stopped.
    ///
    /// On graceful shutdown and on cancellation, everything held in the session becomes invalid immediately, and the
    /// tasks of operations under locks, of leadership terms and of windows are cancelled. The client keeps the session
    /// alive until all of these tasks have ended, and then closes it, which deletes its ephemeral znodes. No other
    /// client is therefore granted a lock while an operation under it is still cleaning up. Without a connection, the
    /// client waits for the tasks as long as the server may keep the session. It waits for locks that are held through
    /// a handle until ``ZooKeeperClientConfiguration/handleReleaseTimeout`` has passed. ``stopImmediately()`` does not
    /// wait.
    ///
    /// A graceful shutdown also completes the requests that have been made, for at most one session timeout. Without a
    /// connection it does not wait for them. Cancellation does not wait for requests.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.authenticationFailed` if the server refuses a credential,
    ///   `.operationTimeout` if the client has no first connection within
    ///   ``ZooKeeperClientConfiguration/initialConnectionTimeout``, `.invalidArgument` if the client was run before.
    /// - Complexity: While nothing is held, 1 read when no request was sent for 3/10 of the session timeout. While
    ///   something is held, 2 requests in 2 round trips about every 3/10 of the session timeout after the last
    ///   committed write.
    public func run() async throws {
        try await withGracefulShutdownHandler {
            try await core.run()
        } onGracefulShutdown: {
            self.core.close(.gracefully)
        }
    }

    /// Stops the client as a graceful shutdown does.
    ///
    /// ``run()`` returns when the session is closed. If the client has not been run yet, ``run()`` will return
    /// immediately. Further calls have no effect.
    public func triggerGracefulShutdown() {
        core.close(.gracefully)
    }

    /// Closes the session immediately, even if something is held in it.
    ///
    /// All grants become invalid first. Operations, leadership terms and windows that need time to end continue while
    /// the server already grants their locks to other clients. Call this method only if the process exits immediately
    /// afterwards, or if nothing is held.
    public func stopImmediately() {
        core.close(.atOnce)
    }

    /// The current state of the client, followed by every change in order.
    ///
    /// No state is dropped, however slowly the sequence is read. The sequence ends when the client has stopped.
    public var states: AsyncStream<SessionState> { core.states.follow() }

    /// The current state of the client.
    public var state: SessionState { core.states.current }

    /// The current session; `nil` before the first session, and between two sessions.
    public var session: Session? { core.state.withLock { $0.live?.publicSession } }

    /// Waits until the client is connected, and returns the current session.
    ///
    /// Call this method at the start of a program that should fail early if no server can be reached. Requests do not
    /// need it, because they wait for the session themselves.
    ///
    /// - Parameter timeout: The limit for the wait; `nil` waits without limit. Default: `nil`.
    /// - Returns: The current session.
    /// - Throws: ``ZooKeeperError`` with code `.operationTimeout` and the addresses in its message if there is no
    ///   connection in time, `.authenticationFailed` or `.clientStopped`; `CancellationError`.
    /// - Complexity: Sends no request.
    @discardableResult
    public func waitUntilConnected(timeout: Duration? = nil) async throws -> Session {
        guard let timeout else { return try await connectedSession().publicSession }
        let connected = try await clock.run(until: clock.now + timeout) {
            try await self.connectedSession().publicSession
        }
        guard let connected else { throw core.noConnection(within: timeout, "timeout") }
        return connected
    }

    /// The time until which the current session, and everything held in it, is guaranteed to be alive in the ensemble.
    ///
    /// Only answered writes extend this time. While nothing is held, the client sends no writes to extend it, and it
    /// passes. `nil` if nothing is guaranteed. The property is read from memory; it sends no request.
    public var validUntil: ContinuousClock.Instant? {
        guard let until = core.state.withLock({ $0.live?.validUntil }), until > core.clock.now else { return nil }
        return core.clock.continuousInstant(until)
    }

    /// Whether the current session is guaranteed to be alive in the ensemble.
    ///
    /// The property is computed from memory; it sends no request.
    public var isValid: Bool { validUntil != nil }

    /// Moves the client to other servers of the same ensemble, with the same session.
    ///
    /// Requests in progress may fail as if the connection had been lost. Watches report that they were interrupted.
    ///
    /// - Parameter servers: The new servers, at least one.
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration` if the list is empty or an address is invalid.
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

/// Runs a client for the duration of an operation.
///
/// - Parameters:
///   - configuration: The servers and all settings.
///   - logger: Receives the log messages of the client. Default: `Logger.current`.
///   - metricsFactory: Receives the metrics of the client; `nil` uses the factory that swift-metrics was bootstrapped
///     with. Default: `nil`.
///   - operation: Uses the client. When it returns or throws, the client is stopped and its session is closed. Neither
///     a cancellation of the calling task nor a graceful shutdown of a surrounding service group stops the client
///     earlier: the operation decides how to respond to them.
/// - Returns: The result of `operation`.
/// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, or the error of `operation`.
/// - Complexity: The handshake of a new session, the heartbeats of ``ZooKeeperClient/run()``, and 1 request to close
///   the session, in addition to the requests of `operation`.
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
    /// Runs the client for the duration of an operation.
    ///
    /// - Returns: The result of `operation`.
    /// - Throws: The error of `operation`.
    package func running<Result: Sendable>(
        _ operation: (ZooKeeperClient) async throws -> Result
    ) async throws -> Result {
        try await withInnerService(
            self, stop: { $0.triggerGracefulShutdown() },
            reportsEnd: { ($0 as? ZooKeeperError)?.code == .clientStopped }, operation: operation)
    }
}
