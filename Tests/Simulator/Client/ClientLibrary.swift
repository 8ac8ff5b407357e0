internal import ZooKeeper
internal import ZooKeeperTransport

/// One handle of the C client, as far as a caller can tell.
///
/// It tries its addresses in turn, sets its watches again on each connection, pings every third of the timeout, gives a
/// silent server two thirds of it, fails what was in flight when a connection is lost (after it has told of the loss), and
/// never ends a session by itself. What the server sends is delivered in its order, sometimes late: the real library
/// receives on one thread and calls back on another.
package final class ClientLibrary {
    package struct Settings: Sendable {
        package var latency = Latency()
        /// How far the calling back lags behind the receiving.
        package var callback = Latency(usual: .zero ... .zero)
        /// The pause between two attempts to connect.
        package var retryPause: ClosedRange<Duration> = .milliseconds(1) ... .milliseconds(50)

        package init() {}
    }

    enum Phase: Equatable {
        case made, opening
        /// Looking for a server; the socket is there once one took the connection.
        case connecting
        case connected
        /// The session is gone, or the handle is being closed; the code is what requests get from now on.
        case ended(refusal: ReplyCode)
    }

    private struct Pending {
        var number: Int
        var request: TransportRequest
        var completion: @Sendable (TransportReply) -> Void
    }

    private unowned let simulation: Simulation
    private let process: SimulatedProcess
    private let network: any SimulatedNetwork
    private let endpoint: TransportEndpoint
    private let settings: Settings
    private var callbacks: Link<() -> Void>!
    private var receive: (@Sendable (TransportEvent) -> Void)?

    private(set) var phase = Phase.made
    private var socket: SimulatedSocket?
    /// Distinguishes the present attempt or connection from those before.
    private var attempt = 0
    private var nextAddress = 0
    private var session: TransportSession
    private var lastZXID: Int64 = 0
    private var lastNumber = 0
    /// Sent, or waiting for a connection, in their order.
    private var pending: [Pending] = []
    private var watches = LibraryWatches()
    private var lastSent = MonotonicInstant.distantPast
    private var lastReceived = MonotonicInstant.distantPast
    /// The reply to this number ends a handle that closes.
    private var closing: (number: Int, done: () -> Void)?

    init(
        process: SimulatedProcess, network: any SimulatedNetwork, endpoint: TransportEndpoint, settings: Settings,
        receive: @escaping @Sendable (TransportEvent) -> Void
    ) {
        simulation = process.simulation
        self.process = process
        self.network = network
        self.endpoint = endpoint
        self.settings = settings
        self.receive = receive
        session =
            endpoint.session
            ?? TransportSession(id: 0, password: Array(repeating: 0, count: 16), timeout: endpoint.sessionTimeout)
        session.timeout = endpoint.sessionTimeout
        callbacks = Link(in: simulation, latency: settings.callback, to: process) { $0() }
        process.onKill { [weak self] in self?.breakDown() }
    }

    // MARK: Calls

    func open() {
        guard phase == .made else { return }
        phase = .opening
        later(.microseconds(50) ... .milliseconds(1)) {
            guard self.phase == .opening else { return }
            self.phase = .connecting
            self.connect()
        }
    }

    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
        if let refusal = refusal(of: request) { return completion(TransportReply(code: refusal)) }
        if case .addAuth = request { return call { completion(TransportReply(code: .ok)) } }
        lastNumber += 1
        pending.append(Pending(number: lastNumber, request: request, completion: completion))
        if phase == .connected { send(.request(number: lastNumber, request)) }
    }

    private func refusal(of request: TransportRequest) -> ReplyCode? {
        switch phase {
        case .made, .opening: return ReplyCode.connectionLoss
        case .ended(let refusal): return refusal
        case .connecting:
            if case .multi = request { return ReplyCode.connectionLoss }
            return nil
        case .connected: return nil
        }
    }

    func close(_ end: TransportClose, done: @escaping () -> Void) {
        let wasConnected = phase == .connected && !process.isDead
        let hadExpired = phase == .ended(refusal: ReplyCode.invalidState)
        phase = .ended(refusal: ReplyCode.closing)
        failPending(hadExpired ? ReplyCode.sessionExpired : ReplyCode.closing)
        let finish = { [self] in
            dropSocket()
            // Whatever was received and not delivered comes before the end.
            call { [self] in
                receive = nil
                done()
            }
        }
        guard wasConnected, end == .endSession else { return finish() }
        process.willEndSession(session.id)
        lastNumber += 1
        closing = (lastNumber, finish)
        send(.closeSession(number: lastNumber))
        // The real one gives the server this long.
        simulation.after(.milliseconds(1500), by: process) { [self] in endClosing() }
    }

    private func endClosing() {
        guard let (_, done) = closing else { return }
        closing = nil
        done()
    }

    // MARK: Connecting

    private func connect() {
        guard phase == .connecting else { return }
        attempt += 1
        let (attempt, address) = (attempt, endpoint.servers[nextAddress % endpoint.servers.count])
        nextAddress += 1
        let latency = process.latency ?? settings.latency
        let socket = SimulatedSocket(from: process, latency: latency)
        socket.clientLost = { [weak self] in self?.lost(attempt, code: ReplyCode.connectionLoss) }
        socket.clientReceives = { [weak self] packet in self?.received(packet, attempt: attempt) }
        later(latency.usual) { [self] in
            guard attempt == self.attempt, phase == .connecting else { return }
            guard !process.isDead, !process.isCutOff || process.cutOffIsSilent, network.connect(socket, to: address)
            else { return lost(attempt, code: ReplyCode.connectionLoss) }
            self.socket = socket
            // It may have changed on the way.
            if let latency = process.latency { socket.setLatency(latency) }
            process.connections.append(socket)
            if process.isCutOff { socket.hold(toServer: true, toClient: true) }
            (lastSent, lastReceived) = (simulation.now, simulation.now)
            send(
                .connect(
                    lastZXID: lastZXID, sessionID: session.id, password: session.password,
                    timeout: session.timeout))
            watchOver(attempt)
        }
    }

    private func connected(id: Int64, password: [UInt8], timeout: Int32) {
        guard id != 0 else {
            phase = .ended(refusal: ReplyCode.invalidState)
            tell(.expired)
            failPending(ReplyCode.sessionExpired)
            return dropSocket()
        }
        session = TransportSession(id: id, password: password, timeout: timeout)
        phase = .connected
        tell(.connected(session))
        if !watches.isEmpty {
            let (data, missing, children) = watches.sorted
            send(.setWatches(since: lastZXID, data: data, missing: missing, children: children))
        }
        for waiting in pending { send(.request(number: waiting.number, waiting.request)) }
    }

    /// The connection, or the attempt to have one, has failed.
    private func lost(_ attempt: Int, code: ReplyCode) {
        guard attempt == self.attempt else { return }
        let wasConnected = phase == .connected
        dropSocket()
        if closing != nil { return endClosing() }
        guard wasConnected || phase == .connecting else { return }
        phase = .connecting
        if wasConnected { tell(.disconnected) }
        failPending(code)
        later(settings.retryPause) { [self] in connect() }
    }

    private func dropSocket() {
        attempt += 1
        if let socket {
            socket.closeByClient()
            process.connections.removeAll { $0 === socket }
        }
        socket = nil
    }

    /// The process is killed: the system closes its sockets.
    private func breakDown() {
        if simulation.chance.oneIn(2) { socket?.reset() } else { socket?.closeByClient() }
        socket = nil
        attempt += 1
        if phase == .connected { phase = .connecting }
    }

    // MARK: On a connection

    private func send(_ packet: ClientPacket) {
        lastSent = simulation.now
        socket?.send(packet)
    }

    private func received(_ packet: ServerPacket, attempt: Int) {
        guard attempt == self.attempt else { return }
        lastReceived = simulation.now
        if let closing {
            // Nobody reads what comes before the answer: the events of the session's own end among it.
            if case .reply(closing.number, _, _) = packet { endClosing() }
            return
        }
        switch packet {
        case .connected(let id, let password, let timeout): connected(id: id, password: password, timeout: timeout)
        case .reply(let number, let zxid, let reply):
            lastZXID = max(lastZXID, zxid)
            answered(number, reply)
        case .watchesSet(let zxid), .pong(let zxid): lastZXID = max(lastZXID, zxid)
        case .event(let event):
            if watches.fire(event) { tell(.watch(event)) }
        }
    }

    private func answered(_ number: Int, _ reply: TransportReply) {
        guard let first = pending.first, first.number == number else { return }
        pending.removeFirst()
        watches.activate(first.request, code: reply.code)
        let completion = first.completion
        call { completion(reply) }
    }

    /// Pings a connection on which nothing is sent, and gives up one from which nothing comes.
    private func watchOver(_ attempt: Int) {
        guard attempt == self.attempt, socket != nil else { return }
        let timeout = Duration.milliseconds(Int64(session.timeout))
        let (silence, idle) = (simulation.now - lastReceived, simulation.now - lastSent)
        if silence >= timeout * 2 / 3 { return lost(attempt, code: ReplyCode.operationTimeout) }
        if idle >= timeout / 3, phase == .connected { send(.ping) }
        let toPing = phase == .connected ? timeout / 3 - (simulation.now - lastSent) : timeout
        let next = max(.milliseconds(1), min(timeout * 2 / 3 - silence, toPing))
        simulation.after(next, by: process) { [weak self] in self?.watchOver(attempt) }
    }

    // MARK: Calling back

    private func failPending(_ code: ReplyCode) {
        let failed = pending
        pending = []
        for request in failed { call { request.completion(TransportReply(code: code)) } }
    }

    private func tell(_ event: TransportEvent) {
        call { [weak self] in self?.receive?(event) }
    }

    private func call(_ callback: @escaping () -> Void) {
        callbacks.send(callback)
    }

    private func later(_ range: ClosedRange<Duration>, _ action: @escaping () -> Void) {
        simulation.after(simulation.chance.duration(range), by: process, action)
    }
}
