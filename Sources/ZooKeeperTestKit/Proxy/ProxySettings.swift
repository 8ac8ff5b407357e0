/// One or both ways through a ``FaultProxy``.
public struct ProxyDirection: OptionSet, Sendable, Hashable {
    /// One bit for each way.
    public var rawValue: UInt8

    /// Makes a direction from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// From the client to the server: requests.
    public static let toServer = ProxyDirection(rawValue: 1)
    /// From the server to the client: replies and watch events.
    public static let toClient = ProxyDirection(rawValue: 2)
    /// Both ways.
    public static let both: ProxyDirection = [.toServer, .toClient]
}

/// What a proxy does to the connections that run through it.
///
/// Used by the proxy's thread alone.
struct ProxySettings {
    /// Bytes wait here, in order, until released.
    var held: ProxyDirection = []
    /// Bytes vanish here.
    var dropped: ProxyDirection = []
    /// How much later than it came each piece goes on, each way.
    var delay: Duration = .zero
    /// How many bytes a second pass, each way of each connection.
    var bytesPerSecond: Int?
    /// Single frames that are to vanish.
    var swallows: [SwallowRule] = []
    /// From the first request on that matches one of these, requests are held.
    var holdsFrom: [@Sendable (ProxiedRequest) -> Bool] = []

    /// Begins to hold requests when this is the one to begin with.
    mutating func holdIfAsked(from request: ProxiedRequest) {
        guard let match = self.holdsFrom.firstIndex(where: { $0(request) }) else { return }
        self.holdsFrom.remove(at: match)
        self.held.insert(.toServer)
    }

    /// Whether neither bytes nor the end of a stream may pass.
    func isBlocked(_ direction: ProxyDirection) -> Bool { !self.held.union(self.dropped).isDisjoint(with: direction) }
}

/// A single frame that is to vanish: the first one that matches.
struct SwallowRule: Sendable {
    /// Which kind of frame.
    enum Kind: Sendable { case request, reply, watchEvent }

    var kind: Kind
    /// Which request, or the answer to which request; not asked for watch events.
    var matches: @Sendable (ProxiedRequest) -> Bool = { _ in true }
    /// Whether the frame's connection is reset at once.
    var thenCut: Bool
}

/// What a proxy has seen.
public struct ProxyCounters: Sendable, Hashable {
    /// Connections that clients have made.
    public var connections = 0
    /// Connections that are open now.
    public var openConnections = 0
    /// Bytes that came from clients.
    public var bytesToServer = 0
    /// Bytes that came from the server.
    public var bytesToClient = 0
    /// Whole frames that came from clients: requests, pings and one connect request for each connection.
    public var framesToServer = 0
    /// Whole frames that came from the server: replies, events and one connect reply for each connection.
    public var framesToClient = 0
    /// Single frames that were swallowed.
    public var swallowed = 0
}

/// What a proxy's thread tells those who wait.
struct ProxyObservations: Sendable {
    var counters = ProxyCounters()
    /// Requests that nobody has asked for yet, the oldest first.
    var requests: [ProxiedRequest] = []
    /// Frames that were swallowed and that nobody has asked for yet; `nil` stands for a watch event.
    var swallowed: [ProxiedRequest?] = []

    /// Requests kept for those who ask late.
    static let keptRequests = 10_000

    mutating func note(_ request: ProxiedRequest) {
        self.requests.append(request)
        if self.requests.count > 2 * Self.keptRequests { self.requests.removeFirst(Self.keptRequests) }
    }
}
