internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

extension ClientCore {
    /// A send batch: requests taken from the queue, and the connection that they are sent on.
    private struct Departure {
        var requests: [Outgoing] = []
        var refused: [(request: PendingRequest, error: ZooKeeperError)] = []
        /// Watches that were evicted for others.
        var evicted: [WatchTable.Evicted] = []
        var connection: any TransportConnection
        var connectionNumber: Int
        /// The number of the connection's establishment.
        var establishment: Int
        var sent: MonotonicInstant

        mutating func add(_ outgoing: Outgoing, from queue: inout RequestQueue) {
            queue.willSend(outgoing)
            requests.append(outgoing)
        }
    }

    /// Queues requests, to be sent in this order.
    ///
    /// - Parameters:
    ///   - epoch: The session that the requests belong to; in any other session they fail with `.sessionExpired`. `nil`
    ///     accepts every session.
    ///   - deadline: The deadline of the requests; `nil` for none.
    ///   - batch: The earlier batch that they belong to; `nil` makes several requests a batch of their own.
    ///   - whileClosing: Whether they are sent even if the client is closing. Requests of a session that only delete
    ///     are always sent.
    ///   - whenAnswered: Called with each result on the thread that delivers it, unless the waiting task has given up.
    func submit(
        _ requests: [SessionRequest], epoch: Int? = nil, deadline: MonotonicInstant? = nil,
        batch: RequestBatch? = nil, whileClosing: Bool = false,
        whenAnswered: (@Sendable (SessionResult) -> Void)? = nil
    ) -> [PendingRequest] {
        let now = clock.now
        let batch = batch ?? (requests.count > 1 ? RequestBatch() : nil)
        let pending = requests.map {
            PendingRequest($0, epoch: epoch, created: now, batch: batch, whenAnswered: whenAnswered)
        }
        submit(pending, deadline: deadline, whileClosing: whileClosing)
        return pending
    }

    /// Queues one request, and calls a closure with its result on the delivering thread, in the order of answers and
    /// events.
    ///
    /// - Parameters:
    ///   - first: Whether the request is sent before those that already wait.
    func post(
        _ request: SessionRequest, epoch: Int, batch: RequestBatch? = nil, whileClosing: Bool = false,
        first: Bool = false, completion: @escaping @Sendable (SessionResult) -> Void
    ) {
        let pending = PendingRequest(
            request, epoch: epoch, created: clock.now, batch: batch, observer: completion)
        submit([pending], whileClosing: whileClosing, first: first)
    }

    /// Gives up a request that is not sent yet, so that it is never sent.
    ///
    /// A request that is sent is not affected: ``PendingRequest/isSent`` shows which of the two it was.
    func withdraw(_ request: PendingRequest) {
        // Requests are taken from the queue under the lock.
        let waiting = state.withLock { _ in request.withdraw() ? request.giveUp() : nil }
        waiting?.resume(returning: nil)
    }

    private func submit(
        _ pending: [PendingRequest], deadline: MonotonicInstant? = nil, whileClosing: Bool, first: Bool = false
    ) {
        var outgoing: [Outgoing] = []
        outgoing.reserveCapacity(pending.count)
        for request in pending {
            do throws(ZooKeeperError) {
                let encoded = try encoder.encode(request.request)
                outgoing.append(
                    Outgoing(
                        pending: request, encoded: encoded, watchKey: encoded.watchKey,
                        isSentWhileClosing: whileClosing || (request.epoch != nil && request.request.givesUp),
                        isSentFirst: first))
            } catch {
                finish(request, .failure(error))
            }
        }
        enqueue(outgoing, deadline: deadline)
    }

    private func enqueue(_ outgoing: [Outgoing], deadline: MonotonicInstant?) {
        let (refused, refusal, isEarlier) = state.withLock { state in
            let (refused, refusal) = state.requests.submit(outgoing, deadline: deadline)
            return (refused, refusal, deadline.map { state.heartbeat.mustWake(for: $0) } ?? false)
        }
        for one in refused { finish(one.pending, .failure(refusal)) }
        pump()
        if isEarlier { heartbeatWakeUp.signal() }
    }

    /// Sends the queued requests that can be sent; one thread at a time does so, which keeps the order.
    func pump() {
        var mayStop = false
        state.combine { state in
            defer { mayStop = state.phase == .closing && state.requests.isDrained }
            return nextDeparture(&state)
        } perform: { departure in
            for (request, error) in departure.refused {
                if error.isWatchRefusal { warn(ofWatchRefusal: error) }
                finish(request, .failure(error))
            }
            for outgoing in departure.requests { send(outgoing, departure) }
            for evicted in departure.evicted { interrupt(evicted) }
        }
        // Waiting requests may have been given up, or may have ended with their session.
        if mayStop { stopIfDone() }
    }

    private func nextDeparture(_ state: inout State) -> Departure? {
        guard state.isConnected, state.requests.maySend, let connection = state.connection, let live = state.live else {
            return nil
        }
        var departure = Departure(
            connection: connection, connectionNumber: state.connections.number,
            establishment: state.connections.establishments, sent: clock.now)
        while state.requests.hasRoom, departure.requests.count < 64,
            let (next, refusal) = state.requests.next(
                epoch: live.epoch, establishment: departure.establishment, now: departure.sent)
        {
            if let refusal {
                departure.refused.append((next.pending, refusal))
                continue
            }
            if case .removeWatches(let path, let kind) = next.encoded {
                let key = WatchTable.Key(path: path, kind: kind)
                if state.watches.isWanted(key) { continue }
                state.watches.leaves(key)
            }
            if let key = next.watchKey, let sink = next.pending.request.watch {
                guard let evicted = state.watches.willArm(key, for: sink) else {
                    departure.refused.append((next.pending, watchRefusal(of: next, sink, state)))
                    continue
                }
                // The removals are sent first: when the new watch is set, the evicted ones have been removed.
                for one in evicted { departure.add(removal(of: one.key, epoch: live.epoch), from: &state.requests) }
                departure.evicted += evicted
            }
            departure.add(next, from: &state.requests)
        }
        if !departure.requests.isEmpty { state.heartbeat.sent(at: departure.sent) }
        return departure
    }

    private func watchRefusal(of request: Outgoing, _ sink: WatchSink, _ state: State) -> ZooKeeperError {
        .watchRefused(
            path: request.pending.request.path, isShared: sink.share != nil, size: state.watches.wireSize,
            maximumPacketSize: configuration.maximumPacketSize)
    }

    private func interrupt(_ evicted: WatchTable.Evicted) {
        for sink in evicted.sinks { fire(sink, .interrupted, path: evicted.key.path) }
    }

    private func send(_ outgoing: Outgoing, _ departure: Departure) {
        let (number, establishment, sent) = (departure.connectionNumber, departure.establishment, departure.sent)
        departure.connection.submit(outgoing.encoded) { [self] reply in
            received(reply, to: outgoing, connectionNumber: number, establishment: establishment, sent: sent)
        }
        outgoing.pending.markSent()
    }

    /// The side effects of an answer, to perform outside of the lock.
    private struct Consequences {
        var unwatched: WatchTable.Key?
        /// A watch that was lost with its session while the answer was in flight.
        var lostWatch: (sink: WatchSink, path: String)?
        /// The session whose validity has changed.
        var moved: SessionHandle?
        var hasMore = false
        var mayStop = false
        /// The size from which requests are refused from now on.
        var refusedSize: Int?
        /// Whether the answer arrived on a connection other than that of the batch.
        var isMisplaced = false
    }

    /// Handles an answer, or the report that there will be none, on the transport's thread.
    private func received(
        _ reply: TransportReply, to outgoing: Outgoing, connectionNumber: Int, establishment: Int,
        sent: MonotonicInstant
    ) {
        let request = outgoing.pending.request
        let consequences = state.withLock { state in
            let now = clock.now
            let isPresent = connectionNumber == state.connections.number && state.phase != .stopped
            var consequences = Consequences()
            if isPresent, reply.code.isAnswer {
                state.answered(sentAt: sent, at: now, as: reply.code == .ok ? request.shows : .activity)
                consequences.moved = state.live
            }
            consequences.refusedSize = state.requests.settle(
                outgoing, by: reply, isPresent: isPresent, establishment: establishment, now: now)
            if reply.code.isAnswer {
                // The C client may have reconnected before it sent the request.
                consequences.isMisplaced =
                    outgoing.pending.batch != nil && establishment != state.connections.establishments
                if !consequences.isMisplaced { outgoing.pending.batch?.answered(sureUntil: state.validity.validUntil) }
            }
            if let key = outgoing.watchKey, let sink = request.watch {
                switch state.watches.didArm(key, sink: sink, isSet: reply.setsWatch(of: outgoing.encoded)) {
                case .settled: break
                case .unwanted: consequences.unwatched = key
                case .gone: consequences.lostWatch = (sink, key.path)
                }
            }
            consequences.hasMore = !state.requests.waiting.isEmpty
            consequences.mayStop = state.phase == .closing && state.requests.isDrained
            return consequences
        }
        consequences.moved?.validityChanged()
        let result =
            consequences.isMisplaced
            ? .failure(.otherConnection(request, isSent: true)) : encoder.decode(reply, to: request)
        finish(outgoing.pending, result)
        if let size = consequences.refusedSize { warn(ofRefusedSize: size) }
        if let key = consequences.unwatched { removeWatch(key) }
        if let (sink, path) = consequences.lostWatch { fire(sink, .sessionEnded, path: path) }
        if consequences.hasMore { pump() }
        if consequences.mayStop { stopIfDone() }
    }

    private func warn(ofRefusedSize size: Int) {
        logger.warning(
            "Connections were lost while large requests were unanswered; requests of this size are refused for a minute",
            metadata: [
                "zookeeper.request.size": "\(size)",
                "zookeeper.reason": "the servers' jute.maxbuffer is probably smaller than maximumPacketSize",
            ])
    }

    /// Delivers the result of a request, and records it in the metrics.
    func finish(_ request: PendingRequest, _ result: SessionResult) {
        guard request.finish(result) else { return }
        metrics.finished(request.request.name, result: result, duration: clock.now - request.created)
    }
}

extension ClientCore.State {
    /// Records that a server has answered on the current connection.
    fileprivate mutating func answered(
        sentAt sent: MonotonicInstant, at now: MonotonicInstant, as answer: SessionValidity.Answer
    ) {
        if answer == .proof { heartbeat.proved(sentAt: sent) }
        connections.answered(sentAt: sent)
        validity.answered(sentAt: sent, at: now, as: answer)
        live?.extend(to: validity.validUntil, timeout: validity.timeout)
    }
}

extension TransportRequest {
    /// The key of the watch that the request sets if it succeeds.
    fileprivate var watchKey: WatchTable.Key? {
        switch self {
        case .exists(let path, true), .getData(let path, true): WatchTable.Key(path: path, kind: .data)
        case .getChildren(let path, true): WatchTable.Key(path: path, kind: .children)
        default: nil
        }
    }
}

extension TransportReply {
    /// Returns whether the C client keeps the watch: after a successful read, and after `exists` on a znode that does
    /// not exist.
    fileprivate func setsWatch(of request: TransportRequest) -> Bool {
        if code == .ok { return true }
        if case .exists = request { return code == .noNode }
        return false
    }
}
