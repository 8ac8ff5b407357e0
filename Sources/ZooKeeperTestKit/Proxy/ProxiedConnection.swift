import Glibc

/// A client's connection, and the proxy's own connection to the server for it.
///
/// Used only on the proxy's thread.
final class ProxiedConnection {
    private enum Upstream { case notYet, connecting, connected }

    /// The common properties of a proxy's connections.
    struct Plan: Sendable {
        /// The address to connect to.
        var target: sockaddr_in
        /// Whether the streams consist of ZooKeeper's frames.
        var isFramed: Bool
        /// The address that the first message of an election connection is to announce.
        var announcedAddress: String?
        /// The time for which to retry while no server listens at the target.
        ///
        /// If the port of its new leader refuses a member's connection, the member retries at once. But if the
        /// connection is accepted and then reset, the member discards the result of the election. So the proxy must not
        /// accept the connection before the leader listens.
        var patience = Duration.zero
    }

    let client: Int32
    private(set) var server: Int32 = -1
    private(set) var isClosed = false
    private var upstream = Upstream.notYet
    private var toServer: Lane
    private var toClient: Lane
    /// The requests without an answer, by their xid.
    private var unanswered: [Int32: ProxiedRequest] = [:]
    private var announcement: AnnouncementRewriter?
    private let plan: Plan
    private let begin = ContinuousClock.now
    private var nextTry: ContinuousClock.Instant?
    private let observations: Observed<ProxyObservations>

    init(client: Int32, plan: Plan, observations: Observed<ProxyObservations>) {
        self.client = client
        self.plan = plan
        self.toServer = Lane(direction: .toServer, isFramed: plan.isFramed)
        self.toClient = Lane(direction: .toClient, isFramed: plan.isFramed)
        self.announcement = plan.announcedAddress.map { AnnouncementRewriter(address: $0) }
        self.observations = observations
        prepareProxySocket(client)
        observations.update {
            $0.counters.connections += 1
            $0.counters.openConnections += 1
        }
    }

    // MARK: Polling

    /// Returns the events to poll the client's socket for, or 0 for none.
    func clientEvents(_ settings: ProxySettings, _ now: ContinuousClock.Instant) -> Int32 {
        (self.toServer.wantsToRead ? POLLIN : 0) | (self.isDue(self.toClient, settings, now) ? POLLOUT : 0)
    }

    /// Returns the events to poll the server's socket for, or 0 for none.
    func serverEvents(_ settings: ProxySettings, _ now: ContinuousClock.Instant) -> Int32 {
        switch self.upstream {
        case .notYet: 0
        case .connecting: POLLOUT
        case .connected:
            (self.toClient.wantsToRead ? POLLIN : 0) | (self.isDue(self.toServer, settings, now) ? POLLOUT : 0)
        }
    }

    /// Returns the time of the next write that is not due yet, or of the next connection attempt.
    func nextDue(_ settings: ProxySettings) -> ContinuousClock.Instant? {
        let toServer = self.upstream == .connected ? self.toServer.nextDue(settings) : nil
        let dues = [self.toClient.nextDue(settings), toServer, self.nextTry]
        return dues.compactMap { $0 }.min()
    }

    private func isDue(_ lane: Lane, _ settings: ProxySettings, _ now: ContinuousClock.Instant) -> Bool {
        lane.nextDue(settings).map { $0 <= now } ?? false
    }

    // MARK: Moving bytes

    /// Moves all bytes that the sockets and the settings allow now.
    func advance(
        clientReady: Int32, serverReady: Int32, settings: inout ProxySettings, buffer: inout [UInt8],
        now: ContinuousClock.Instant
    ) {
        self.connectIfAllowed(settings, now)
        if self.upstream == .connecting, serverReady != 0 { self.finishConnecting(now) }
        let readable = POLLIN | POLLHUP | POLLERR
        if clientReady & readable != 0 { self.read(.toServer, &settings, &buffer, now) }
        if self.upstream == .connected, serverReady & readable != 0 { self.read(.toClient, &settings, &buffer, now) }
        guard !self.isClosed else { return }
        if self.upstream == .connected {
            self.write(&self.toServer, to: self.server, other: &self.toClient, settings, now)
        }
        self.write(&self.toClient, to: self.client, other: &self.toServer, settings, now)
        self.passEnds(settings)
    }

    private func read(
        _ direction: ProxyDirection, _ settings: inout ProxySettings, _ buffer: inout [UInt8],
        _ now: ContinuousClock.Instant
    ) {
        let lane = direction == .toServer ? self.toServer : self.toClient
        guard !self.isClosed, lane.wantsToRead else { return }
        let count = recv(direction == .toServer ? self.client : self.server, &buffer, buffer.count, 0)
        if count > 0 {
            self.take(buffer[..<count], direction, &settings, now)
        } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
            let end: Lane.End = count == 0 ? .closed : .reset
            self.withLane(direction) { lane in
                lane.append(lane.splitter.finish(), due: now)
                lane.end = end
            }
        }
    }

    private func take(
        _ bytes: ArraySlice<UInt8>, _ direction: ProxyDirection, _ settings: inout ProxySettings,
        _ now: ContinuousClock.Instant
    ) {
        let count = bytes.count
        self.observations.update {
            if direction == .toServer { $0.counters.bytesToServer += count } else { $0.counters.bytesToClient += count }
        }
        var rewritten = bytes
        if direction == .toServer, self.announcement != nil { rewritten = self.announcement!.rewrite(bytes)[...] }
        for piece in self.withLane(direction, { $0.splitter.split(rewritten) }) {
            let passes: [UInt8]
            switch piece {
            case .bytes(let bytes): passes = bytes
            case .frame(let frame): passes = self.inspect(frame, direction, &settings) ? frame : []
            }
            if self.isClosed { return }
            guard settings.dropped.isDisjoint(with: direction) else { continue }
            let due = now + settings.delay
            self.withLane(direction) { $0.append(passes, due: due) }
        }
    }

    /// Records a frame, and returns whether it may pass.
    private func inspect(_ frame: [UInt8], _ direction: ProxyDirection, _ settings: inout ProxySettings) -> Bool {
        let number = self.withLane(direction) { lane in
            lane.frames += 1
            return lane.frames
        }
        let body = frame[4...]
        if direction == .toServer {
            let request = number > 1 ? ProxiedRequest(body) : nil
            self.observations.update {
                $0.counters.framesToServer += 1
                if let request { $0.note(request) }
            }
            guard let request else { return true }
            if request.xid >= 0 { self.unanswered[request.xid] = request }
            settings.holdIfAsked(from: request)
            return !self.swallow(.request, request, &settings)
        }
        self.observations.update { $0.counters.framesToClient += 1 }
        var reader = WireReader(body)
        guard number > 1, let xid = reader.int32() else { return true }
        if xid == -1 { return !self.swallow(.watchEvent, nil, &settings) }
        guard let request = self.unanswered.removeValue(forKey: xid) else { return true }
        return !self.swallow(.reply, request, &settings)
    }

    private func swallow(_ kind: SwallowRule.Kind, _ request: ProxiedRequest?, _ settings: inout ProxySettings) -> Bool
    {
        let match = settings.swallows.firstIndex { rule in
            rule.kind == kind && (request.map { rule.matches($0) } ?? true)
        }
        guard let match else { return false }
        let rule = settings.swallows.remove(at: match)
        if rule.thenCut { self.close(reset: true) }
        self.observations.update {
            $0.counters.dropped += 1
            $0.swallowed.append(request)
        }
        return true
    }

    private func write(
        _ lane: inout Lane, to sink: Int32, other: inout Lane, _ settings: ProxySettings, _ now: ContinuousClock.Instant
    ) {
        guard !lane.write(to: sink, settings: settings, now: now) else { return }
        // The reader has closed the socket. The sender is notified through the other direction.
        lane.discard()
        lane.end = lane.end ?? .reset
        other.end = other.end ?? .reset
    }

    private func withLane<Result>(_ direction: ProxyDirection, _ body: (inout Lane) -> Result) -> Result {
        direction == .toServer ? body(&self.toServer) : body(&self.toClient)
    }

    // MARK: Start and end

    /// Connects to the server, unless bytes to the server are blocked.
    private func connectIfAllowed(_ settings: ProxySettings, _ now: ContinuousClock.Instant) {
        guard self.upstream == .notYet, !settings.isBlocked(.toServer) else { return }
        if let nextTry = self.nextTry, nextTry > now { return }
        self.nextTry = nil
        self.server = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard self.server >= 0 else { return self.close(reset: true) }
        prepareProxySocket(self.server)
        self.upstream = .connecting
        if withSocketAddress(self.plan.target, { connect(self.server, $0, $1) }) != 0, errno != EINPROGRESS {
            self.tryLater(now)
        }
    }

    private func finishConnecting(_ now: ContinuousClock.Instant) {
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(self.server, SOL_SOCKET, SO_ERROR, &error, &size)
        if error == 0 { self.upstream = .connected } else { self.tryLater(now) }
    }

    private func tryLater(_ now: ContinuousClock.Instant) {
        guard self.begin + self.plan.patience > now else { return self.close(reset: true) }
        Glibc.close(self.server)
        self.server = -1
        self.upstream = .notYet
        self.nextTry = now + .milliseconds(10)
    }

    /// Forwards the ends of streams, once everything before them has been forwarded and nothing is blocked.
    private func passEnds(_ settings: ProxySettings) {
        for direction in [ProxyDirection.toServer, .toClient] where !self.isClosed {
            let lane = direction == .toServer ? self.toServer : self.toClient
            guard let end = lane.end, !lane.isFinished, lane.isEmpty, !settings.isBlocked(direction) else { continue }
            if direction == .toServer, self.upstream != .connected { continue }
            switch end {
            case .reset: self.close(reset: true)
            case .closed:
                shutdown(direction == .toServer ? self.server : self.client, Int32(SHUT_WR))
                self.withLane(direction) { $0.isFinished = true }
            }
        }
        if self.toServer.isFinished && self.toClient.isFinished { self.close(reset: false) }
    }

    /// Closes both sockets; with `reset`, both sides see a connection reset.
    func close(reset: Bool) {
        guard !self.isClosed else { return }
        self.isClosed = true
        for socket in [self.client, self.server] where socket >= 0 {
            if reset {
                var abrupt = linger(l_onoff: 1, l_linger: 0)
                setsockopt(socket, SOL_SOCKET, SO_LINGER, &abrupt, socklen_t(MemoryLayout<linger>.size))
            }
            Glibc.close(socket)
        }
        self.observations.update { $0.counters.openConnections -= 1 }
    }
}

/// Makes a socket non-blocking and disables delayed sending.
func prepareProxySocket(_ socket: Int32) {
    _ = fcntl(socket, F_SETFL, O_NONBLOCK)
    _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
    var yes: Int32 = 1
    setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
}
