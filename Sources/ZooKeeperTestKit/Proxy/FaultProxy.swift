import SystemSupport

/// A TCP proxy on loopback that injects network faults: reset, refuse, hold, drop, delay and throttle.
///
/// A client connects to ``connectionString`` instead of the server's. The proxy parses ZooKeeper's frames, so it can
/// drop single replies and report which requests passed. Every call that changes a setting returns when the change is
/// in effect: after `await proxy.hold(.both)`, the proxy forwards not one more byte. The proxy never sleeps, and tests
/// wait for events.
///
/// The proxy runs on its own thread, which waits while there is nothing to do. It ends with ``close()``, or when the
/// last reference to it is released.
public final class FaultProxy: Sendable, CustomStringConvertible {
    /// The address on which the proxy listens.
    public let address: String
    /// The port on which the proxy listens.
    public let port: Int

    let observations: Observed<ProxyObservations>
    private let mailbox: ProxyMailbox

    /// Starts a proxy in front of a server's client port.
    ///
    /// - Parameter server: The server to connect to.
    /// - Throws: ``TestKitError`` with code `.system`.
    public convenience init(to server: TestServer) throws {
        try self.init(toAddress: server.address, port: server.port)
    }

    /// Starts a proxy in front of any server that speaks ZooKeeper's protocol.
    ///
    /// - Parameters:
    ///   - toAddress: The server's address, an IPv4 literal.
    ///   - port: The server's port. The server does not have to listen yet.
    /// - Throws: ``TestKitError`` with code `.system`.
    public convenience init(toAddress: String, port: Int) throws {
        try self.init(ProxiedConnection.Plan(target: socketAddress(toAddress, port), isFramed: true))
    }

    /// Starts a proxy.
    ///
    /// - Parameters:
    ///   - plan: The target, and the properties of the connections.
    ///   - listener: The socket to listen on and its port, or `nil` for any free port. The proxy becomes the owner of
    ///     the socket.
    /// - Throws: ``TestKitError`` with code `.system`.
    init(_ plan: ProxiedConnection.Plan, listener: (socket: Int32, port: Int)? = nil) throws {
        let observations = Observed(ProxyObservations())
        let mailbox = try ProxyMailbox()
        let (socket, port) = try listener ?? Ports.listen()
        self.address = "127.0.0.1"
        self.port = port
        self.observations = observations
        self.mailbox = mailbox
        detachThread {
            ProxyLoop(listener: socket, plan: plan, mailbox: mailbox, observations: observations).run()
        }
    }

    deinit { self.mailbox.post(.end) }

    /// The connection string for a client that connects through the proxy.
    public var connectionString: String { "\(self.address):\(self.port)" }
    /// A description with the connection string.
    public var description: String { "proxy at \(self.connectionString)" }
    /// The counters of the proxy.
    public var counters: ProxyCounters { self.observations.current.counters }
}

// MARK: Faults

extension FaultProxy {
    /// Resets every connection on both sides.
    ///
    /// New connections are served.
    public func cut() async { await self.mailbox.send(.cut) }

    /// Refuses new connections, as if no server listened.
    ///
    /// Open connections are not affected.
    public func refuse() async { await self.mailbox.send(.refuse) }

    /// Accepts new connections again after ``refuse()``.
    public func accept() async { await self.mailbox.send(.accept) }

    /// Holds bytes back, in order, until ``release(_:)``.
    ///
    /// The ends of connections are held back as well. While `.toServer` is held, new connections do not reach the
    /// server: the network is silent. Bytes that are already in the receiver's socket buffer are not held back.
    /// - Parameter direction: The direction in which bytes are held. Default: both directions.
    public func hold(_ direction: ProxyDirection = .both) async {
        await self.change { $0.held.formUnion(direction) }
    }

    /// Holds requests back until ``release(_:)``, starting with the next request that matches.
    ///
    /// ``nextRequest(where:)`` reports the arrival of that request.
    ///
    /// - Parameter matches: A closure that decides which request is the first to be held.
    public func holdFromNextRequest(where matches: @escaping @Sendable (ProxiedRequest) -> Bool) async {
        await self.change { $0.holdsFrom.append(matches) }
    }

    /// Drops whole frames silently until ``release(_:)``.
    ///
    /// The connections stay open, and the frames after the release are intact.
    /// - Parameter direction: The direction in which frames are dropped. Default: both directions.
    public func drop(_ direction: ProxyDirection = .both) async {
        await self.change { $0.dropped.formUnion(direction) }
    }

    /// Ends ``hold(_:)`` and ``drop(_:)`` and forwards the bytes that were held.
    ///
    /// - Parameter direction: The direction that is released. Default: both directions.
    public func release(_ direction: ProxyDirection = .both) async {
        await self.change {
            $0.held.subtract(direction)
            $0.dropped.subtract(direction)
        }
    }

    /// Drops the server's next reply to a request that matches.
    ///
    /// The server executes the request, but the client never receives the result. Pings and the reply to the connect
    /// request do not count.
    ///
    /// - Parameters:
    ///   - thenCut: Whether the connection is reset at that moment.
    ///   - matches: A closure that decides to which request the reply belongs. Default: any request.
    public func dropNextReply(
        thenCut: Bool = false, where matches: @escaping @Sendable (ProxiedRequest) -> Bool = { _ in true }
    ) async {
        await self.change { $0.swallows.append(SwallowRule(kind: .reply, matches: matches, thenCut: thenCut)) }
    }

    /// Drops the next request that matches.
    ///
    /// The server never receives the request, and the client is not notified.
    ///
    /// - Parameters:
    ///   - thenCut: Whether the connection is reset at that moment.
    ///   - matches: A closure that decides which request is dropped.
    public func dropNextRequest(
        thenCut: Bool = false, where matches: @escaping @Sendable (ProxiedRequest) -> Bool
    ) async {
        await self.change { $0.swallows.append(SwallowRule(kind: .request, matches: matches, thenCut: thenCut)) }
    }

    /// Drops the next watch event.
    ///
    /// - Parameter thenCut: Whether the connection is reset at that moment.
    public func dropNextWatchEvent(thenCut: Bool = false) async {
        await self.change { $0.swallows.append(SwallowRule(kind: .watchEvent, thenCut: thenCut)) }
    }

    /// Delays all bytes that arrive from now on, in each direction.
    ///
    /// - Parameter duration: The delay in each direction; `Duration.zero` ends the delay.
    public func delay(_ duration: Duration) async { await self.change { $0.delay = duration } }

    /// Limits the throughput in each direction of each connection.
    ///
    /// - Parameter bytesPerSecond: The limit, or `nil` for none.
    public func throttle(bytesPerSecond: Int?) async { await self.change { $0.bytesPerSecond = bytesPerSecond } }

    /// Ends the proxy: resets its connections and releases its port.
    public func close() async { await self.mailbox.send(.end) }

    private func change(_ change: @escaping @Sendable (inout ProxySettings) -> Void) async {
        await self.mailbox.send(.change(change))
    }
}

// MARK: Waiting

extension FaultProxy {
    /// Waits until clients have made a number of connections since the proxy's start.
    ///
    /// Connections that have been closed count as well.
    /// - Parameter count: The number of connections.
    /// - Throws: `CancellationError`.
    public func waitForConnections(_ count: Int) async throws {
        try await self.waitUntil { $0.connections >= count }
    }

    /// Waits until the counters satisfy a condition.
    ///
    /// - Parameter condition: The condition.
    /// - Throws: `CancellationError`.
    public func waitUntil(_ condition: @escaping @Sendable (ProxyCounters) -> Bool) async throws {
        try await self.observations.first { condition($0.counters) ? () : nil }
    }

    /// Waits for the next request that matches and that has not been returned before, and returns it.
    ///
    /// Requests that arrived before the call count: at least the newest 10,000 are kept. Requests that arrived before
    /// the returned one are forgotten. The proxy reports the arrival of a request at the proxy, not at the server.
    ///
    /// - Parameter matches: A closure that decides whether a request matches. Default: every request except pings.
    /// - Returns: The request.
    /// - Throws: `CancellationError`.
    @discardableResult
    public func nextRequest(
        where matches: @escaping @Sendable (ProxiedRequest) -> Bool = { $0.operation != .ping }
    ) async throws -> ProxiedRequest {
        try await self.observations.first { observations in
            guard let index = observations.requests.firstIndex(where: matches) else { return nil }
            defer { observations.requests.removeSubrange(...index) }
            return observations.requests[index]
        }
    }

    /// Forgets all requests so far, so that ``nextRequest(where:)`` waits for new ones.
    public func clearRequests() { self.observations.update { $0.requests = [] } }

    /// Waits until a single frame has been dropped and returns its request.
    ///
    /// - Returns: The request that was dropped or whose reply was dropped, or `nil` for a watch event.
    /// - Throws: `CancellationError`.
    @discardableResult
    public func nextDropped() async throws -> ProxiedRequest? {
        try await self.observations.first { observations -> ProxiedRequest?? in
            observations.swallowed.isEmpty ? nil : .some(observations.swallowed.removeFirst())
        }
    }
}
