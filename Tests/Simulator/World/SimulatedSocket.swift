internal import ZooKeeper
package import ZooKeeperTransport

/// What a client sends to a server on one connection, in order.
package enum ClientPacket {
    /// The first packet; an id of 0 asks for a new session.
    case connect(lastZXID: Int64, sessionID: Int64, password: [UInt8], timeout: Int32)
    case request(number: Int, TransportRequest)
    /// Sets again what the connection before had set; answered with the number -8.
    case setWatches(since: Int64, data: [String], missing: [String], children: [String])
    case ping
    /// Ends the session; answered as a request.
    case closeSession(number: Int)
}

/// What a server sends to a client on one connection, in order.
package enum ServerPacket {
    /// Answers `connect`; an id of 0 says that the session is gone, and the server closes.
    case connected(sessionID: Int64, password: [UInt8], timeout: Int32)
    /// The zxid is the last that the server has applied.
    case reply(number: Int, zxid: Int64, TransportReply)
    case watchesSet(zxid: Int64)
    case event(TransportWatchEvent)
    case pong(zxid: Int64)
}

/// One TCP connection between a client and a server.
///
/// What arrives, and that it broke, is told to whoever has set the closures; each side is told once that it broke.
package final class SimulatedSocket {
    /// The server that took the connection: it reads nothing while it stands still.
    var server: SimulatedProcess? { didSet { up.receiver = server } }
    /// Set by the server.
    package var serverReceives: (ClientPacket) -> Void = { _ in }
    package var serverLost: () -> Void = {}
    /// Set by the client.
    package var clientReceives: (ServerPacket) -> Void = { _ in }
    package var clientLost: () -> Void = {}

    private let simulation: Simulation
    private unowned let client: SimulatedProcess
    private var up: Link<ClientPacket?>!
    private var down: Link<ServerPacket?>!
    private var serverKnows = false
    private var clientKnows = false
    package private(set) var isHeld = false

    package init(from client: SimulatedProcess, latency: Latency) {
        self.client = client
        simulation = client.simulation
        up = Link(in: simulation, latency: latency) { [weak self] packet in
            guard let self else { return }
            if let packet { if !serverKnows { serverReceives(packet) } } else { tellServer() }
        }
        down = Link(in: simulation, latency: latency, to: client) { [weak self] packet in
            guard let self else { return }
            if let packet { if !clientKnows { clientReceives(packet) } } else { tellClient() }
        }
    }

    package func send(_ packet: ClientPacket) {
        if !clientKnows { up.send(packet) }
    }

    package func send(_ packet: ServerPacket) {
        if !serverKnows { down.send(packet) }
    }

    /// The client closes: what it has sent still arrives, then the end.
    package func closeByClient() {
        guard !clientKnows else { return }
        clientKnows = true
        up.send(nil)
    }

    /// The server closes: what it has sent still arrives, then the end.
    package func closeByServer() {
        guard !serverKnows else { return }
        serverKnows = true
        down.send(nil)
    }

    /// Breaks at once: what is on the way is lost, and both sides are told soon.
    package func reset() {
        up.cut()
        down.cut()
        simulation.after(.zero, by: server) { self.tellServer() }
        simulation.after(.zero, by: client) { self.tellClient() }
    }

    package func setLatency(_ latency: Latency) {
        up.latency = latency
        down.latency = latency
    }

    /// Nothing arrives in a direction until it is released; nobody is told.
    package func hold(toServer: Bool, toClient: Bool) {
        isHeld = true
        if toServer { up.hold() }
        if toClient { down.hold() }
    }

    package func release() {
        isHeld = false
        up.release()
        down.release()
    }

    private func tellServer() {
        guard !serverKnows else { return }
        serverKnows = true
        serverLost()
    }

    private func tellClient() {
        guard !clientKnows else { return }
        clientKnows = true
        clientLost()
    }
}
