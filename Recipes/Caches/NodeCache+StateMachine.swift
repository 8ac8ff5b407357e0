internal import ZooKeeper

/// Decides when a cached znode is read again, and what its answers are worth.
///
/// One read is on its way at a time. An answer counts only on the connection that it was asked on, and only when it is not
/// older than what is known. A content is live while the znode is watched and nothing has come since.
struct NodeCacheStateMachine: Sendable {
    /// A connection of the client: its session's epoch, and its number among all connections.
    struct Connection: Sendable, Equatable {
        var epoch: Int
        var number: Int
    }

    /// What to ask the server.
    struct Read: Sendable, Equatable {
        enum Kind: Sendable { case data, existence }

        var kind: Kind
        var setsWatch: Bool
        /// Whether a barrier must come first: the server may be behind what was known on another connection.
        var catchesUp: Bool
    }

    /// What the server, or the client in its stead, has answered.
    enum Answer: Sendable {
        case data([UInt8], ZNodeStat)
        /// The znode stands; its data were not asked for.
        case exists
        case missing
        case failed(ZooKeeperError)
    }

    /// What a watch has told.
    enum Notice: Sendable {
        case changed, deleted
        /// The watch is gone with its connection, the session is not.
        case interrupted
        case sessionEnded
    }

    private enum Phase {
        /// For a connection.
        case waiting
        case reading(Read, on: Connection)
        /// Watched, or waiting for the end of a pause.
        case resting
        case pausing(until: MonotonicInstant)
        case finished
    }

    private(set) var content = NodeCache.Content.unknown
    private var phase = Phase.waiting
    /// The connection that the content is live on.
    private var liveOn: Connection?
    private var staleSince: MonotonicInstant
    private var isWatched = false
    /// The client had no room for the watch: the read is done once more without it.
    private var isWatchRefused = false
    /// The connection that the last read was asked on.
    private var lastAsked: Connection?
    /// Whether the znode is thought to be missing, so that its existence is asked for instead of its data.
    private var isMissing = false
    private var mustCatchUp = false
    /// The last write that was seen, or the first instant after it once the znode was missing: answers from before it are
    /// not listened to.
    private var newest: ZXID?
    private var backoff: Backoff
    private var publishedContent = NodeCache.Content.unknown
    private var isPublishedLive = false

    /// - Parameter seed: What the pauses after failures are shortened by.
    init(now: MonotonicInstant, seed: UInt64) {
        backoff = Backoff(.slow, seed: seed)
        staleSince = now
    }

    /// When to try again, while something has failed.
    var pausedUntil: MonotonicInstant? { if case .pausing(let until) = phase { until } else { nil } }

    /// Since when the content is stale; `nil` when it is live on the connection.
    func staleSince(on connection: Connection?, now: MonotonicInstant) -> MonotonicInstant? {
        guard let liveOn else { return staleSince }
        return liveOn == connection ? nil : now
    }

    /// Whether there is something to tell that was not told before.
    ///
    /// A content that is being read again is stale for a moment; that is not worth telling.
    mutating func takePublication(on connection: Connection?) -> Bool {
        let isLive = liveOn != nil
        let isRefreshing = if case .reading = phase { connection != nil } else { false }
        guard content != publishedContent || isLive != isPublishedLive && (isLive || !isRefreshing) else {
            return false
        }
        (publishedContent, isPublishedLive) = (content, isLive)
        return true
    }

    // MARK: What happens

    /// The client has got a connection, another one, or none.
    mutating func connectionChanged(to connection: Connection?, now: MonotonicInstant) -> Read? {
        if liveOn != nil, liveOn != connection { becomeStale(now) }
        switch phase {
        case .finished, .reading: return nil
        case .resting where liveOn != nil: return nil
        case .resting, .waiting, .pausing: return read(on: connection)
        }
    }

    /// A watch has fired.
    mutating func fired(_ notice: Notice, on connection: Connection?, now: MonotonicInstant) -> Read? {
        isWatched = false
        becomeStale(now)
        switch notice {
        case .changed: isMissing = false
        case .deleted: isMissing = true
        case .interrupted, .sessionEnded: mustCatchUp = true
        }
        // While reading, the answer shows that a watch is missing; while pausing, the server has asked for patience.
        guard case .resting = phase else { return nil }
        return read(on: connection)
    }

    /// The read's answer has come.
    ///
    /// - Parameter connection: The connection that there is now.
    mutating func answered(_ answer: Answer, on connection: Connection?, now: MonotonicInstant) -> Read? {
        guard case .reading(let read, let asked) = phase else { return nil }
        if case .failed(let error) = answer { return failed(error, asked: asked, on: connection, now: now) }
        if read.setsWatch, answer.setsWatch(of: read) { isWatched = true }
        guard let connection, connection == asked else { return self.read(on: connection) }
        if read.catchesUp { mustCatchUp = false }
        switch answer {
        case .data(let data, let stat): return present(data, stat, on: connection, now: now)
        case .exists:
            isMissing = false
            return self.read(on: connection)
        case .missing where read.kind == .data:
            isMissing = true
            return self.read(on: connection)
        case .missing:
            if case .present(_, let stat) = content { newest = ZXID(rawValue: stat.mzxid.rawValue + 1) }
            return settle(.absent, on: connection, now: now)
        case .failed: return nil
        }
    }

    /// A pause may be over.
    mutating func retry(on connection: Connection?, now: MonotonicInstant) -> Read? {
        guard case .pausing(let until) = phase, until <= now else { return nil }
        return read(on: connection)
    }

    /// The cache stops.
    mutating func finish(now: MonotonicInstant) {
        becomeStale(now)
        phase = .finished
    }

    // MARK: What follows

    private mutating func present(
        _ data: [UInt8], _ stat: ZNodeStat, on connection: Connection, now: MonotonicInstant
    ) -> Read? {
        isMissing = false
        if let newest, stat.mzxid < newest {
            // From a server that lags; its watch, if it was set, tells when it has caught up.
            mustCatchUp = true
            pause(now)
            return nil
        }
        newest = stat.mzxid
        return settle(.present(data: data, stat: stat), on: connection, now: now)
    }

    /// An answer that counts; without a watch one more read must set it.
    private mutating func settle(
        _ content: NodeCache.Content, on connection: Connection, now: MonotonicInstant
    ) -> Read? {
        self.content = content
        if isWatchRefused {
            (isWatchRefused, staleSince) = (false, now)
            pause(now)
            return nil
        }
        backoff.reset()
        guard isWatched else { return read(on: connection) }
        liveOn = connection
        phase = .resting
        return nil
    }

    private mutating func failed(
        _ error: ZooKeeperError, asked: Connection, on connection: Connection?, now: MonotonicInstant
    ) -> Read? {
        if error.isWatchRefusal {
            isWatchRefused = true
            return read(on: connection)
        }
        if error.isAboutZNode, connection == asked {
            content = .unreadable(error)
            staleSince = now
        }
        guard let connection, connection == asked else { return read(on: connection) }
        pause(now)
        return nil
    }

    private mutating func pause(_ now: MonotonicInstant) {
        phase = .pausing(until: now + backoff.pause())
    }

    private mutating func read(on connection: Connection?) -> Read? {
        guard let connection else {
            phase = .waiting
            return nil
        }
        if let lastAsked, lastAsked.epoch != connection.epoch { isWatched = false }
        // A watch that is set is kept by a connection that never shows an older state than before.
        if let lastAsked, lastAsked != connection, !isWatched { mustCatchUp = true }
        lastAsked = connection
        let read = Read(
            kind: isMissing ? .existence : .data, setsWatch: !isWatched && !isWatchRefused, catchesUp: mustCatchUp)
        phase = .reading(read, on: connection)
        return read
    }

    private mutating func becomeStale(_ now: MonotonicInstant) {
        guard liveOn != nil else { return }
        liveOn = nil
        staleSince = now
    }
}

extension NodeCacheStateMachine.Answer {
    /// A read of data sets its watch only when the znode stands, a look for its existence in any case.
    fileprivate func setsWatch(of read: NodeCacheStateMachine.Read) -> Bool {
        switch self {
        case .data, .exists: true
        case .missing: read.kind == .existence
        case .failed: false
        }
    }
}
