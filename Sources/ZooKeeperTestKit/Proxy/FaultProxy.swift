import SystemSupport

/// A TCP proxy on loopback that does to a connection what networks do: cut, refuse, hold, lose, delay, throttle.
///
/// A client connects to ``connectionString`` in place of the server's. The proxy reads ZooKeeper's frames, so that it can
/// lose single replies and tell which requests passed. Every call that changes something returns when the change is in
/// force: after `await proxy.hold(.both)` not one more byte goes on. Nothing here sleeps: tests wait for what happens.
///
/// It runs on one thread of its own, which waits when there is nothing to do. It ends with ``close()``, or when nobody
/// refers to it any more.
public final class FaultProxy: Sendable, CustomStringConvertible {
    /// The address that the proxy listens on.
    public let address: String
    /// The port that the proxy listens on.
    public let port: Int

    let observations: Observed<ProxyObservations>
    private let mailbox: ProxyMailbox

    /// Starts a proxy in front of a server's port for clients.
    ///
    /// - Throws: ``TestKitError`` with code `.system`.
    public convenience init(to server: TestServer) throws {
        try self.init(toAddress: server.address, port: server.port)
    }

    /// Starts a proxy in front of any server of ZooKeeper's protocol.
    ///
    /// - Parameters:
    ///   - toAddress: The server's address, an IPv4 literal.
    ///   - port: The server's port. Nobody needs to listen there yet.
    /// - Throws: ``TestKitError`` with code `.system`.
    public convenience init(toAddress: String, port: Int) throws {
        try self.init(ProxiedConnection.Plan(target: socketAddress(toAddress, port), isFramed: true))
    }

    /// Starts a proxy.
    ///
    /// - Parameters:
    ///   - plan: Where to connect to, and what passes.
    ///   - listener: The socket to listen on, which becomes the proxy's, and its port; `nil` for any that is free.
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

    /// What a client is given to connect through the proxy.
    public var connectionString: String { "\(self.address):\(self.port)" }
    /// The connection string.
    public var description: String { "proxy at \(self.connectionString)" }
    /// What the proxy has seen.
    public var counters: ProxyCounters { self.observations.current.counters }
}

// MARK: Faults

extension FaultProxy {
    /// Resets every connection, on both sides.
    ///
    /// New connections are served.
    public func cut() async { await self.mailbox.send(.cut) }

    /// Refuses new connections, as if no server listened.
    ///
    /// Those that are open stay.
    public func refuse() async { await self.mailbox.send(.refuse) }

    /// Takes new connections again after ``refuse()``.
    public func accept() async { await self.mailbox.send(.accept) }

    /// Holds bytes back, in order, until ``release(_:)``.
    ///
    /// The ends of connections are held back, too, and connections that are made meanwhile do not reach the server while
    /// `.toServer` is held: the network is silent. What is in the receiver's socket already is past the proxy.
    public func hold(_ direction: ProxyDirection = .both) async {
        await self.change { $0.held.formUnion(direction) }
    }

    /// Holds requests back from the next one of a kind on, that one included, until ``release(_:)``.
    ///
    /// ``nextRequest(where:)`` tells that it has come.
    ///
    /// - Parameter matches: Which request.
    public func holdFromNextRequest(where matches: @escaping @Sendable (ProxiedRequest) -> Bool) async {
        await self.change { $0.holdsFrom.append(matches) }
    }

    /// Loses whole frames silently, until ``release(_:)``.
    ///
    /// The connections stay open, and frames that come after the release are intact.
    public func drop(_ direction: ProxyDirection = .both) async {
        await self.change { $0.dropped.formUnion(direction) }
    }

    /// Ends ``hold(_:)`` and ``drop(_:)``: what was held goes on.
    public func release(_ direction: ProxyDirection = .both) async {
        await self.change {
            $0.held.subtract(direction)
            $0.dropped.subtract(direction)
        }
    }

    /// Loses the next reply of the server that answers a request of a kind: the request has happened, its client never
    /// learns.
    ///
    /// Pings and the reply to the connect request do not count.
    ///
    /// - Parameters:
    ///   - matches: Which request's reply; the next one by default.
    ///   - thenCut: Whether the connection is reset at that moment.
    public func swallowNextReply(
        thenCut: Bool = false, where matches: @escaping @Sendable (ProxiedRequest) -> Bool = { _ in true }
    ) async {
        await self.change { $0.swallows.append(SwallowRule(kind: .reply, matches: matches, thenCut: thenCut)) }
    }

    /// Loses the next request of a kind: it never happens, and its client never learns.
    ///
    /// - Parameters:
    ///   - matches: Which request.
    ///   - thenCut: Whether the connection is reset at that moment.
    public func swallowNextRequest(
        thenCut: Bool = false, where matches: @escaping @Sendable (ProxiedRequest) -> Bool
    ) async {
        await self.change { $0.swallows.append(SwallowRule(kind: .request, matches: matches, thenCut: thenCut)) }
    }

    /// Loses the next watch event.
    ///
    /// - Parameter thenCut: Whether the connection is reset at that moment.
    public func swallowNextWatchEvent(thenCut: Bool = false) async {
        await self.change { $0.swallows.append(SwallowRule(kind: .watchEvent, thenCut: thenCut)) }
    }

    /// Delays what comes from now on, each way.
    ///
    /// `Duration.zero` ends it.
    public func delay(_ duration: Duration) async { await self.change { $0.delay = duration } }

    /// Lets only so many bytes a second pass, each way of each connection.
    ///
    /// `nil` ends it.
    public func throttle(bytesPerSecond: Int?) async { await self.change { $0.bytesPerSecond = bytesPerSecond } }

    /// Ends the proxy: resets its connections and gives up its port.
    public func close() async { await self.mailbox.send(.end) }

    private func change(_ change: @escaping @Sendable (inout ProxySettings) -> Void) async {
        await self.mailbox.send(.change(change))
    }
}

// MARK: Waiting

extension FaultProxy {
    /// Waits until clients have made so many connections since the proxy's start, open or not.
    ///
    /// - Throws: `CancellationError`.
    public func awaitConnections(_ count: Int) async throws {
        try await self.waitUntil { $0.connections >= count }
    }

    /// Waits until the counters satisfy a condition.
    ///
    /// - Throws: `CancellationError`.
    public func waitUntil(_ condition: @escaping @Sendable (ProxyCounters) -> Bool) async throws {
        try await self.observations.first { condition($0.counters) ? () : nil }
    }

    /// Waits for the next request of a kind that nobody has been given yet, and returns it.
    ///
    /// Requests that came before the call count: the newest ten thousand are kept. Those that came before the one that is
    /// returned are forgotten. That a request came does not say that the server has it.
    ///
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

    /// Forgets the requests that came so far, so that ``nextRequest(where:)`` waits for new ones.
    public func forgetRequests() { self.observations.update { $0.requests = [] } }

    /// Waits until a single frame has been swallowed, and returns the request that it was or answered; `nil` stands for a
    /// watch event.
    ///
    /// - Throws: `CancellationError`.
    @discardableResult
    public func nextSwallowed() async throws -> ProxiedRequest? {
        try await self.observations.first { observations -> ProxiedRequest?? in
            observations.swallowed.isEmpty ? nil : .some(observations.swallowed.removeFirst())
        }
    }
}
