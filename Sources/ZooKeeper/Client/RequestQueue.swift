internal import DequeModule
internal import ZooKeeperTransport

/// A request that has been checked and encoded, and waits for a connection or its turn.
struct Outgoing: Sendable {
    var pending: PendingRequest
    var encoded: TransportRequest
    var watchKey: WatchTable.Key?
    /// Whether it is also sent by a client that is closing.
    var isSentWhileClosing = false
}

/// The requests that wait for a connection or their turn, in order, and the number of those that are unanswered.
struct RequestQueue {
    /// What is accepted.
    private enum Admission { case everything, whatEnds, nothing(ZooKeeperError) }

    struct Deadline {
        var instant: MonotonicInstant
        var request: PendingRequest
    }

    private static let leastPruned = 1024

    /// What the servers' limit of a packet probably is.
    var packetLimit = ServerPacketLimit()
    /// Requests were refused at once: none is sent before the transport has said what has become of the connection.
    var isStalled = false
    private(set) var inFlight = 0
    private(set) var waiting: Deque<Outgoing> = []
    /// In the order of the instants; some belong to requests that are finished.
    private(set) var deadlines: Deque<Deadline> = []
    private let maximumInFlight: Int
    private var admission = Admission.everything
    /// When so many wait, those that were given up are thrown away.
    private var pruneAt = RequestQueue.leastPruned

    init(maximumInFlight: Int) {
        self.maximumInFlight = maximumInFlight
    }

    var isDrained: Bool { inFlight == 0 && waiting.isEmpty }
    var maySend: Bool { !isStalled && hasRoom && !waiting.isEmpty }
    var hasRoom: Bool { inFlight < maximumInFlight }

    // MARK: Handing in

    /// Accepts requests, as far as the client still does.
    ///
    /// - Returns: The requests that are refused, and why.
    mutating func submit(_ new: [Outgoing], deadline: MonotonicInstant?) -> (refused: [Outgoing], why: ZooKeeperError) {
        if case .nothing(let error) = admission { return (new, error) }
        var refused: [Outgoing] = []
        for one in new {
            if case .whatEnds = admission, !one.isSentWhileClosing {
                refused.append(one)
            } else {
                waiting.append(one)
                if let deadline { addDeadline(deadline, for: one.pending) }
            }
        }
        prune()
        return (refused, ZooKeeperError(.clientStopped))
    }

    /// Accepts a request of the client's own upkeep.
    mutating func append(_ one: Outgoing) { waiting.append(one) }

    /// Throws away what was given up while it waited: an outage may be long.
    private mutating func prune() {
        guard waiting.count >= pruneAt else { return }
        waiting.removeAll { $0.pending.isFinished }
        deadlines.removeAll { $0.request.isFinished }
        pruneAt = max(Self.leastPruned, 2 * waiting.count)
    }

    /// Keeps deadlines in order; what is finished goes when it comes to the front.
    private mutating func addDeadline(_ instant: MonotonicInstant, for request: PendingRequest) {
        while let first = deadlines.first, first.request.isFinished { deadlines.removeFirst() }
        var index = deadlines.endIndex
        while index > deadlines.startIndex, deadlines[index - 1].instant > instant { index -= 1 }
        deadlines.insert(Deadline(instant: instant, request: request), at: index)
    }

    /// Takes the requests whose time has run out.
    mutating func takeOverdue(now: MonotonicInstant) -> [PendingRequest] {
        var overdue: [PendingRequest] = []
        while let first = deadlines.first, first.instant <= now || first.request.isFinished {
            if !first.request.isFinished { overdue.append(first.request) }
            deadlines.removeFirst()
        }
        return overdue
    }

    // MARK: Sending

    /// Takes the next request, with the reason if it must not be sent.
    mutating func next(
        epoch: Int, establishment: Int, now: MonotonicInstant
    ) -> (outgoing: Outgoing, refusal: ZooKeeperError?)? {
        while let next = waiting.popFirst() {
            if next.pending.isFinished { continue }
            if let own = next.pending.epoch, own != epoch { return (next, ZooKeeperError(.sessionExpired)) }
            if let batch = next.pending.batch, !batch.mayUse(establishment) {
                return (next, .otherConnection(next.pending.request, isSent: false))
            }
            // The size is computed only where one is refused.
            if let limit = packetLimit.refusedSize, packetLimit.refuses(next.encoded.encodedSize, now: now) {
                return (next, .refusedByServer(path: next.pending.request.path, size: limit))
            }
            return (next, nil)
        }
        return nil
    }

    /// A request that was taken is about to be sent.
    mutating func willSend(_ outgoing: Outgoing) {
        outgoing.pending.markSending()
        inFlight += 1
    }

    /// A request was answered, or will not be.
    ///
    /// - Parameter isPresent: Whether it was sent on the current connection.
    /// - Returns: The size of the requests that are refused from now on, if they were not before.
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

    /// Takes the requests that belong to an ended session.
    mutating func takeAll(ofEpoch epoch: Int) -> [PendingRequest] {
        take { $0.pending.epoch == epoch }
    }

    /// From now on accepts only what gives something up.
    ///
    /// - Parameter drains: Whether what waits is sent all the same; else it is returned.
    mutating func close(drains: Bool) -> [PendingRequest] {
        if case .everything = admission { admission = .whatEnds }
        return drains ? [] : take { !$0.isSentWhileClosing }
    }

    /// Accepts nothing any more; returns what waits.
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
    /// Whether the transport may have refused the request for want of a connection.
    fileprivate var isRefusal: Bool { [.connectionLoss, .invalidState, .closing].contains(self) }
}

extension ZooKeeperError {
    /// A request of a batch that was not answered on the batch's connection.
    static func otherConnection(_ request: SessionRequest, isSent: Bool) -> ZooKeeperError {
        ZooKeeperError(
            .connectionLoss, path: request.path, message: "the connection changed within a batch of requests",
            isOutcomeUnknown: isSent && !request.isRead)
    }
}
