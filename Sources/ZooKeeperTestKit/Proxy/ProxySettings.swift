/// One or both directions through a ``FaultProxy``.
public struct ProxyDirection: OptionSet, Sendable, Hashable {
    /// The bits of the directions.
    public var rawValue: UInt8

    /// Creates a direction from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// From the client to the server: requests.
    public static let toServer = ProxyDirection(rawValue: 1)
    /// From the server to the client: replies and watch events.
    public static let toClient = ProxyDirection(rawValue: 2)
    /// Both directions.
    public static let both: ProxyDirection = [.toServer, .toClient]
}

/// The faults that a proxy applies to its connections.
///
/// Used only on the proxy's thread.
struct ProxySettings {
    /// The directions in which bytes wait, in order, until they are released.
    var held: ProxyDirection = []
    /// The directions in which bytes are dropped.
    var dropped: ProxyDirection = []
    /// The delay of each piece, in each direction.
    var delay: Duration = .zero
    /// The limit of bytes per second, in each direction of each connection.
    var bytesPerSecond: Int?
    /// The single frames to drop.
    var swallows: [SwallowRule] = []
    /// Closures that match a request from which on all requests are held.
    var holdsFrom: [@Sendable (ProxiedRequest) -> Bool] = []

    /// Starts to hold requests if one of the closures matches this request.
    mutating func holdIfAsked(from request: ProxiedRequest) {
        guard let match = self.holdsFrom.firstIndex(where: { $0(request) }) else { return }
        self.holdsFrom.remove(at: match)
        self.held.insert(.toServer)
    }

    /// Whether neither bytes nor the end of a stream may pass.
    func isBlocked(_ direction: ProxyDirection) -> Bool { !self.held.union(self.dropped).isDisjoint(with: direction) }
}

/// A single frame to drop: the first one that matches.
struct SwallowRule: Sendable {
    /// The kind of a frame.
    enum Kind: Sendable { case request, reply, watchEvent }

    var kind: Kind
    /// Matches the request, or the request of a reply; not used for watch events.
    var matches: @Sendable (ProxiedRequest) -> Bool = { _ in true }
    /// Whether the connection of the frame is reset at once.
    var thenCut: Bool
}

/// The counters of a proxy.
public struct ProxyCounters: Sendable, Hashable {
    /// The number of connections that clients have made.
    public var connections = 0
    /// The number of open connections.
    public var openConnections = 0
    /// The number of bytes from clients.
    public var bytesToServer = 0
    /// The number of bytes from the server.
    public var bytesToClient = 0
    /// The number of whole frames from clients: requests, pings and one connect request for each connection.
    public var framesToServer = 0
    /// The number of whole frames from the server: replies, events and one connect reply for each connection.
    public var framesToClient = 0
    /// The number of single frames that were dropped.
    public var dropped = 0
}

/// The observations of a proxy's thread that others can wait for.
struct ProxyObservations: Sendable {
    var counters = ProxyCounters()
    /// The requests that have not been returned yet, the oldest first.
    var requests: [ProxiedRequest] = []
    /// The frames that were dropped and have not been returned yet; `nil` means a watch event.
    var swallowed: [ProxiedRequest?] = []

    /// The number of requests that are kept for later calls.
    static let keptRequests = 10_000

    mutating func note(_ request: ProxiedRequest) {
        self.requests.append(request)
        if self.requests.count > 2 * Self.keptRequests { self.requests.removeFirst(Self.keptRequests) }
    }
}
