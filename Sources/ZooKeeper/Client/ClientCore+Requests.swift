internal import DequeModule
internal import Synchronization
internal import ZooKeeperBridge

/// A request that has been checked and encoded, and waits for a connection or its turn.
struct Outgoing: Sendable {
    var pending: PendingRequest
    var encoded: TransportRequest
    var watchKey: WatchTable.Key?
}

extension ClientCore {
    /// Requests taken from the outbox, and the connection that they go out on.
    private struct Departure {
        var requests: [Outgoing] = []
        var refused: [PendingRequest] = []
        var connection: any TransportConnection
        var connectionNumber: Int
        var sent: MonotonicInstant
    }

    /// Hands requests in, to be sent in this order.
    ///
    /// - Parameters:
    ///   - epoch: The session they belong to; in any other they fail with `.sessionExpired`.
    ///   - deadline: When to give them up.
    func submit(
        _ requests: [SessionRequest], epoch: Int? = nil, deadline: MonotonicInstant? = nil
    ) -> [PendingRequest] {
        let now = clock.now
        let pending = requests.map { PendingRequest($0, epoch: epoch, created: now) }
        var outgoing: [Outgoing] = []
        outgoing.reserveCapacity(pending.count)
        for request in pending {
            do throws(ZooKeeperError) {
                let encoded = try encoder.encode(request.request)
                outgoing.append(Outgoing(pending: request, encoded: encoded, watchKey: encoded.watchKey))
            } catch {
                finish(request, .failure(error))
            }
        }
        enqueue(outgoing, deadline: deadline)
        return pending
    }

    private func enqueue(_ outgoing: [Outgoing], deadline: MonotonicInstant?) {
        let refusal = state.withLock { state -> ZooKeeperError? in
            if let failure = state.failure { return failure }
            guard state.phase == .idle || state.phase == .running else { return ZooKeeperError(.clientStopped) }
            state.outbox.append(contentsOf: outgoing)
            if let deadline { for one in outgoing { state.addDeadline(deadline, for: one.pending) } }
            return nil
        }
        if let refusal {
            for one in outgoing { finish(one.pending, .failure(refusal)) }
            return
        }
        pump()
    }

    /// Sends what can be sent; one thread does so at a time, which keeps the order.
    func pump() {
        var isMine = false
        while true {
            let departure = state.withLock { state -> Departure? in
                if !isMine, state.isPumping { return nil }
                let departure = nextDeparture(&state)
                state.isPumping = departure != nil
                return departure
            }
            guard let departure else { return }
            isMine = true
            for request in departure.refused { finish(request, .failure(ZooKeeperError(.sessionExpired))) }
            for outgoing in departure.requests { send(outgoing, departure) }
        }
    }

    private func nextDeparture(_ state: inout State) -> Departure? {
        guard state.isConnected, let connection = state.connection, let live = state.live else { return nil }
        guard !state.outbox.isEmpty, state.inFlight < configuration.maximumRequestsInFlight else { return nil }
        var departure = Departure(
            connection: connection, connectionNumber: state.connectionNumber, sent: clock.now)
        while state.inFlight < configuration.maximumRequestsInFlight, departure.requests.count < 64 {
            guard let next = state.outbox.popFirst() else { break }
            if next.pending.isFinished { continue }
            if let epoch = next.pending.epoch, epoch != live.epoch {
                departure.refused.append(next.pending)
                continue
            }
            if let key = next.watchKey { state.watches.willArm(key) }
            next.pending.markSent()
            state.inFlight += 1
            departure.requests.append(next)
        }
        if !departure.requests.isEmpty { state.lastSent = departure.sent }
        return departure
    }

    private func send(_ outgoing: Outgoing, _ departure: Departure) {
        let (number, sent) = (departure.connectionNumber, departure.sent)
        departure.connection.submit(outgoing.encoded) { [self] reply in
            received(reply, to: outgoing, connectionNumber: number, sent: sent)
        }
    }

    /// An answer, or the news that there will be none, on the transport's thread.
    private func received(
        _ reply: TransportReply, to outgoing: Outgoing, connectionNumber: Int, sent: MonotonicInstant
    ) {
        let request = outgoing.pending.request
        let (unwatched, hasMore, isDrained) = state.withLock { state in
            state.inFlight -= 1
            if connectionNumber == state.connectionNumber, reply.isAnswer {
                let isProof = reply.code == 0 && request.isProof
                state.validity.answered(sentAt: sent, isProof: isProof)
                state.live?.extend(to: state.validity.validUntil, timeout: state.validity.timeout)
                if isProof { state.lastProofSent = max(state.lastProofSent, sent) }
                // Whatever connection follows this one is established after it.
                state.establishedAfter = max(state.establishedAfter, sent)
            }
            var unwatched: WatchTable.Key?
            if let key = outgoing.watchKey, let sink = request.watch, connectionNumber == state.connectionNumber {
                unwatched = state.watches.didArm(key, sink: sink, isSet: reply.setsWatch(of: outgoing.encoded))
            }
            return (unwatched, !state.outbox.isEmpty, state.phase == .draining && state.isDrained)
        }
        finish(outgoing.pending, encoder.decode(reply, to: request))
        if let unwatched { removeWatch(unwatched) }
        if hasMore { pump() }
        if isDrained { drained.set(()) }
    }

    /// Gives a request its result, and counts it.
    func finish(_ request: PendingRequest, _ result: SessionResult) {
        guard request.finish(result) else { return }
        metrics.finished(request.request.name, result: result, duration: clock.now - request.created)
    }
}

extension ClientCore.State {
    var isDrained: Bool { inFlight == 0 && outbox.isEmpty }

    /// Keeps deadlines in order; what is finished goes when it comes to the front.
    mutating func addDeadline(_ instant: MonotonicInstant, for request: PendingRequest) {
        while let first = deadlines.first, first.request.isFinished { deadlines.removeFirst() }
        var index = deadlines.endIndex
        while index > deadlines.startIndex, deadlines[index - 1].instant > instant { index -= 1 }
        deadlines.insert(ClientCore.RequestDeadline(instant: instant, request: request), at: index)
    }

    /// Requests whose time has run out.
    mutating func takeOverdue(now: MonotonicInstant) -> [PendingRequest] {
        var overdue: [PendingRequest] = []
        while let first = deadlines.first, first.instant <= now || first.request.isFinished {
            if !first.request.isFinished { overdue.append(first.request) }
            deadlines.removeFirst()
        }
        return overdue
    }

    /// Takes the requests that belong to an ended session.
    mutating func takeOutbox(ofEpoch epoch: Int) -> [PendingRequest] {
        let ended = outbox.filter { $0.pending.epoch == epoch }.map(\.pending)
        if !ended.isEmpty { outbox.removeAll { $0.pending.epoch == epoch } }
        return ended
    }
}

extension TransportRequest {
    /// The watch that the request sets if it succeeds.
    fileprivate var watchKey: WatchTable.Key? {
        switch self {
        case .exists(let path, true), .getData(let path, true): WatchTable.Key(path: path, kind: .data)
        case .getChildren(let path, true): WatchTable.Key(path: path, kind: .children)
        default: nil
        }
    }
}

extension TransportReply {
    /// Whether a server has answered: its own codes are 0 and those below -100 that are not about the connection.
    fileprivate var isAnswer: Bool {
        code == 0 || (code < -100 && ![-112, -113, -115, -116, -118].contains(code))
    }

    /// The C client keeps the watch of a successful read, and of `exists` on a missing znode.
    fileprivate func setsWatch(of request: TransportRequest) -> Bool {
        if code == 0 { return true }
        if case .exists = request { return code == -101 }
        return false
    }
}
