internal import DequeModule
internal import ZooKeeperTransport

/// A queued request: it has been checked and encoded, and waits for a connection or its turn.
struct Outgoing: Sendable {
    var pending: PendingRequest
    var encoded: TransportRequest
    var watchKey: WatchTable.Key?
    /// Whether a closing client sends it as well.
    var isSentWhileClosing = false
    /// Whether it is sent before the requests that already wait: a heartbeat does not wait behind them.
    var isSentFirst = false
}

/// The requests that wait for a connection or their turn, in order, and the number of those that are unanswered.
struct RequestQueue {
    /// The requests that are accepted.
    private enum Admission { case everything, whatEnds, nothing(ZooKeeperError) }

    struct Deadline {
        var instant: MonotonicInstant
        var request: PendingRequest
    }

    private static let leastPruned = 1024

    /// The probable packet limit of the servers.
    var packetLimit = ServerPacketLimit()
    /// Whether requests were refused immediately: none is sent before the transport has reported the state of the
    /// connection.
    var isStalled = false
    private(set) var inFlight = 0
    private(set) var waiting: Deque<Outgoing> = []
    /// The deadlines in order; some belong to requests that are finished.
    private(set) var deadlines: Deque<Deadline> = []
    private let maximumInFlight: Int
    private var admission = Admission.everything
    /// The number of waiting requests at which those that were given up are discarded.
    private var pruneAt = RequestQueue.leastPruned

    init(maximumInFlight: Int) {
        self.maximumInFlight = maximumInFlight
    }

    var isDrained: Bool { inFlight == 0 && waiting.isEmpty }
    var maySend: Bool { !isStalled && hasRoom && !waiting.isEmpty }
    var hasRoom: Bool { inFlight < maximumInFlight }

    // MARK: Queueing

    /// Accepts requests, if the client still accepts them.
    ///
    /// - Returns: The requests that are refused, and the reason.
    mutating func submit(_ new: [Outgoing], deadline: MonotonicInstant?) -> (refused: [Outgoing], why: ZooKeeperError) {
        if case .nothing(let error) = admission { return (new, error) }
        var refused: [Outgoing] = []
        for one in new {
            if case .whatEnds = admission, !one.isSentWhileClosing {
                refused.append(one)
            } else {
                if one.isSentFirst { waiting.prepend(one) } else { waiting.append(one) }
                if let deadline { addDeadline(deadline, for: one.pending) }
            }
        }
        prune()
        return (refused, ZooKeeperError(.clientStopped))
    }

    /// Accepts a request of the client's own upkeep.
    mutating func append(_ one: Outgoing) { waiting.append(one) }

    /// Discards waiting requests that were given up, because an outage may be long.
    private mutating func prune() {
        guard waiting.count >= pruneAt else { return }
        waiting.removeAll { $0.pending.isFinished }
        deadlines.removeAll { $0.request.isFinished }
        pruneAt = max(Self.leastPruned, 2 * waiting.count)
    }

    /// Adds a deadline in order; finished requests are removed when they reach the front.
    private mutating func addDeadline(_ instant: MonotonicInstant, for request: PendingRequest) {
        while let first = deadlines.first, first.request.isFinished { deadlines.removeFirst() }
        var index = deadlines.endIndex
        while index > deadlines.startIndex, deadlines[index - 1].instant > instant { index -= 1 }
        deadlines.insert(Deadline(instant: instant, request: request), at: index)
    }

    /// Removes and returns the requests whose deadline has passed.
    mutating func takeOverdue(now: MonotonicInstant) -> [PendingRequest] {
        var overdue: [PendingRequest] = []
        while let first = deadlines.first, first.instant <= now || first.request.isFinished {
            if !first.request.isFinished { overdue.append(first.request) }
            deadlines.removeFirst()
        }
        return overdue
    }

    // MARK: Sending

    /// Removes and returns the next request, with the reason if it must not be sent.
    mutating func next(
        epoch: Int, establishment: Int, now: MonotonicInstant
    ) -> (outgoing: Outgoing, refusal: ZooKeeperError?)? {
        while let next = waiting.popFirst() {
            if next.pending.isFinished || next.pending.isWithdrawn { continue }
            if let own = next.pending.epoch, own != epoch { return (next, ZooKeeperError(.sessionExpired)) }
            if let batch = next.pending.batch, !batch.mayUse(establishment) {
                return (next, .otherConnection(next.pending.request, isSent: false))
            }
            // The size is computed only if there is a limit.
            if let limit = packetLimit.refusedSize, packetLimit.refuses(next.encoded.encodedSize, now: now) {
                return (next, .refusedByServer(path: next.pending.request.path, size: limit))
            }
            return (next, nil)
        }
        return nil
    }

    /// Records that a request from the queue is about to be sent.
    mutating func willSend(_ outgoing: Outgoing) {
        outgoing.pending.markSending()
        inFlight += 1
    }

    /// Records that a request was answered, or will not be.
    ///
    /// - Parameter isPresent: Whether it was sent on the current connection.
    /// - Returns: The size from which requests are refused from now on, if they were not refused before.
    mutating func settle(
        _ outgoing: Outgoing, by reply: TransportReply, isPresent: Bool, establishment: Int, now: MonotonicInstant
    ) -> Int? {
        inFlight -= 1
        let isPassing = outgoing.pending.isPassing
        if isPresent, isPassing, reply.code.isRefusal { isStalled = true }
        if reply.code.isAnswer { packetLimit.recordAnswer(toSize: outgoing.encoded.encodedSize) }
        guard reply.code == .connectionLoss, !isPassing else { return nil }
        let isNew = packetLimit.recordLoss(
            ofSize: outgoing.encoded.encodedSize, establishment: establishment, now: now)
        return isNew ? packetLimit.refusedSize : nil
    }

    // MARK: Ending

    /// Removes and returns the requests that belong to an ended session.
    mutating func takeAll(ofEpoch epoch: Int) -> [PendingRequest] {
        take { $0.pending.epoch == epoch }
    }

    /// Accepts only requests that release something from now on.
    ///
    /// - Parameter drains: Whether waiting requests are still sent; otherwise they are returned.
    mutating func close(drains: Bool) -> [PendingRequest] {
        if case .everything = admission { admission = .whatEnds }
        return drains ? [] : take { !$0.isSentWhileClosing }
    }

    /// Accepts no more requests, which fail with an error from now on; returns the waiting ones.
    mutating func end(_ error: ZooKeeperError) -> [PendingRequest] {
        if case .nothing = admission {} else { admission = .nothing(error) }
        deadlines = []
        return take { _ in true }
    }

    private mutating func take(_ isTaken: (Outgoing) -> Bool) -> [PendingRequest] {
        let taken = waiting.filter(isTaken).map(\.pending)
        if !taken.isEmpty { waiting.removeAll(where: isTaken) }
        return taken
    }
}

extension ReplyCode {
    /// Whether the transport may have refused the request because there is no connection.
    fileprivate var isRefusal: Bool { [.connectionLoss, .invalidState, .closing].contains(self) }
}

extension ZooKeeperError {
    /// Returns the error for a request of a batch that was not answered on the connection of the batch.
    static func otherConnection(_ request: SessionRequest, isSent: Bool) -> ZooKeeperError {
        ZooKeeperError(
            .connectionLoss, path: request.path, message: "the connection changed within a batch of requests",
            isOutcomeUnknown: isSent && !request.isRead)
    }
}
