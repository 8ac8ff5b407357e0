import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTransport

/// An ensemble in a world of its own, with clients that speak the protocol and nothing else.
final class EnsembleScene {
    let simulation: Simulation
    let ensemble: SimulatedEnsemble
    private var clients = 0

    init(
        servers: Int = 1, seed: UInt64 = 1, keepsTrace: Bool = false,
        _ change: (inout EnsembleSettings) -> Void = { _ in }
    ) {
        simulation = Simulation(seed: seed, keepsTrace: keepsTrace)
        var settings = EnsembleSettings(servers: servers, tick: .seconds(1))
        change(&settings)
        ensemble = SimulatedEnsemble(in: simulation, settings: settings)
        if servers > 1 { run(until: { self.ensemble.leader != nil }) }
    }

    /// A client that is connected to a server, with a session that is new or that it had.
    func client(on server: Int = 0, resuming earlier: RawClient? = nil, timeout: Int32 = 4000) -> RawClient {
        run(until: { self.ensemble.isServing(server) })
        clients += 1
        let client = RawClient("c\(clients)", in: self)
        client.connect(to: server, resuming: earlier, timeout: timeout)
        run(until: { client.isConnected || client.isLost })
        return client
    }

    func run(_ span: Duration) {
        simulation.run(until: simulation.now + span)
    }

    /// Runs until a condition holds, a virtual minute at most.
    func run(until condition: () -> Bool) {
        simulation.run(until: simulation.now + .seconds(60)) { !condition() }
    }

    var leader: Int { ensemble.leader ?? -1 }
    /// The servers that do not lead.
    var followers: [Int] { (0..<ensemble.settings.servers).filter { $0 != leader } }
}

/// A client without the client library: it sends what it is told and keeps what it hears.
final class RawClient {
    private let scene: EnsembleScene
    private let process: SimulatedProcess
    let socket: SimulatedSocket
    private(set) var session: Int64 = 0
    private(set) var password: [UInt8] = []
    private(set) var timeout: Int32 = 0
    private(set) var isConnected = false
    private(set) var isLost = false
    private(set) var lastZXID: Int64 = 0
    private(set) var replies: [Int: TransportReply] = [:]
    /// Everything in the order in which it came.
    private(set) var heard: [Heard] = []
    private var lastAnswered = 0
    /// Whether an answer was older than one before it, or came out of its turn.
    private(set) var wentBack = false
    private var lastNumber = 0

    enum Heard: Equatable {
        case reply(Int)
        case event(TransportWatchEvent)
        case watchesSet
        case pong
        case refused
    }

    init(_ name: String, in scene: EnsembleScene) {
        self.scene = scene
        process = SimulatedProcess(name, in: scene.simulation)
        socket = SimulatedSocket(from: process, latency: Latency())
    }

    func connect(to server: Int, resuming earlier: RawClient?, timeout: Int32, lastZXID: Int64? = nil) {
        socket.clientReceives = { [weak self] in self?.receive($0) }
        socket.clientLost = { [weak self] in self?.isLost = true }
        guard scene.ensemble.connect(socket, to: scene.ensemble.addresses[server]) else {
            isLost = true
            return
        }
        socket.send(
            ClientPacket.connect(
                lastZXID: lastZXID ?? earlier?.lastZXID ?? 0, sessionID: earlier?.session ?? 0,
                password: earlier?.password ?? [], timeout: timeout))
    }

    /// Goes on where another connection of the session ended.
    func remember(_ earlier: RawClient) {
        lastZXID = earlier.lastZXID
        wentBack = earlier.wentBack
        (session, password) = (earlier.session, earlier.password)
    }

    private func receive(_ packet: ServerPacket) {
        switch packet {
        case .connected(let session, let password, let timeout):
            if session == 0 { heard.append(.refused) } else { isConnected = true }
            (self.session, self.password, self.timeout) = (session, password, timeout)
        case .reply(let number, let zxid, let reply):
            if zxid < lastZXID || number <= lastAnswered { wentBack = true }
            lastAnswered = number
            lastZXID = max(lastZXID, zxid)
            replies[number] = reply
            heard.append(.reply(number))
        case .watchesSet: heard.append(.watchesSet)
        case .event(let event): heard.append(.event(event))
        case .pong: heard.append(.pong)
        }
    }

    /// Sends a request, and returns its number.
    @discardableResult
    func send(_ request: TransportRequest) -> Int {
        lastNumber += 1
        socket.send(ClientPacket.request(number: lastNumber, request))
        return lastNumber
    }

    func send(_ packet: ClientPacket) {
        socket.send(packet)
    }

    /// Sends a request and waits for the answer; -4 when the connection was lost, -7 when none came for a minute.
    @discardableResult
    func call(_ request: TransportRequest) -> TransportReply {
        let number = send(request)
        scene.run(until: { self.replies[number] != nil || self.isLost })
        return replies[number] ?? TransportReply(code: isLost ? -4 : -7)
    }

    @discardableResult
    func create(
        _ path: String, _ mode: TransportCreateMode = .persistent, data: [UInt8] = []
    ) -> TransportReply {
        call(.create(path: path, data: data, mode: mode, acl: .anybody))
    }

    func end() {
        lastNumber += 1
        let number = lastNumber
        socket.send(ClientPacket.closeSession(number: number))
        scene.run(until: { self.replies[number] != nil || self.isLost })
    }

    var events: [TransportWatchEvent] {
        heard.compactMap { if case .event(let event) = $0 { event } else { nil } }
    }
}

extension [TransportACL] {
    static let anybody = [TransportACL(permissions: 31, scheme: "world", id: "anyone")]
}

extension TransportReply {
    var stat: TransportStat? {
        switch body {
        case .stat(let stat), .data(_, let stat), .children(_, let stat), .created(_, let stat), .acl(_, let stat): stat
        case .none, .multi: nil
        }
    }

    /// The created path.
    var path: String? {
        if case .created(let path, _) = body { path } else { nil }
    }

    var data: [UInt8]? {
        if case .data(let data, _) = body { data } else { nil }
    }

    var names: [String]? {
        if case .children(let names, _) = body { names.sorted() } else { nil }
    }

    var results: [TransportOperationResult]? {
        if case .multi(let results) = body { results } else { nil }
    }
}

func event(_ kind: TransportWatchEvent.Kind, _ path: String) -> TransportWatchEvent {
    TransportWatchEvent(kind: kind, path: path)
}
