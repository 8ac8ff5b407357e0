internal import ZooKeeper

/// How an exclusive mode stands: the window, and who has paused.
public struct ExclusiveStatus: Sendable, Hashable {
    /// A window that is wanted or open.
    public struct Window: Sendable, Hashable {
        /// Who opened it.
        public var owner: String
        /// What it is for.
        public var reason: String
        /// When it was asked for, by the ensemble's clock: time since 1970.
        public var requested: Duration
        /// Its fencing token.
        public var token: FencingToken
    }

    /// One processor, as the ensemble knows it.
    public struct Processor: Sendable, Hashable {
        /// What a processor is doing.
        public enum Activity: Sendable, Hashable {
            /// Its gate may let events in.
            case running
            /// It admits no events and waits for those inside, because a window is wanted or it is stopping: how many were
            /// inside when it last reported, and the longest time that one of them has been.
            case draining(inside: Int?, oldest: Duration?)
            /// It was draining, and admits events again because the window was given up: how many were still inside then,
            /// and the longest time that one of them had been.
            case reopened(inside: Int?, oldest: Duration?)
            /// Its gate stays shut for ``ExclusiveMode/Configuration/resumeDelay``, because a window crashed and its operation
            /// may still be winding down.
            case recovering
            /// It has acknowledged, or is about to join.
            case paused
        }

        /// Its name; the lock's znode for a processor that is not one of this package, such as a JVM's.
        public var name: String
        /// Its host; empty when unknown.
        public var host: String
        /// Its process id; 0 when unknown.
        public var pid: Int32
        /// What it is doing.
        public var activity: Activity
    }

    /// The window that is wanted or open; `nil` when there is none.
    public var window: Window?
    /// Windows that crashed, and for which nobody has waited so far: they have no records, and whoever processes or opens a
    /// window next waits the resume delay first.
    public var crashedWindows: [Window]
    /// The processors, by name.
    public var processors: [Processor]
    /// The last windows, the newest last.
    public var lastWindows: [WindowRecord]

    /// Who has not paused although a window is wanted.
    public var notPaused: [Processor] {
        guard window != nil else { return [] }
        return processors.filter { if case .draining = $0.activity { true } else { false } }
    }
}

extension ExclusiveStatus.Window {
    init(_ text: SignalRecord, _ stat: ZNodeStat) {
        self.init(
            owner: text.owner, reason: text.reason, requested: stat.ctime,
            token: FencingToken(rawValue: stat.czxid.rawValue))
    }
}

extension ExclusiveMode {
    /// Looks how the exclusive mode stands, without taking part.
    ///
    /// Not one instant: what changes meanwhile may show as before or after.
    /// - Complexity: Four requests in one round trip, and one for each processor in another. After a crash, one more and one for
    ///   each window without a record.
    public func status() async throws -> ExclusiveStatus {
        let session = try await client.liveSession()
        let results = try await session.flight(
            .data(path: signalPath), .children(path: locksPath), .children(path: membersPath),
            .data(path: windowsPath))
        var window: ExclusiveStatus.Window?
        if let signal = try results[0].replyIfExists()?.data {
            window = ExclusiveStatus.Window(SignalRecord(signal.data), signal.stat)
        }
        let locks = try results[1].replyIfExists()?.children.names ?? []
        let members = try results[2].replyIfExists()?.children.names ?? []
        let stored = try results[3].replyIfExists()?.data
        let records = WindowRecord.list(stored?.data ?? [])
        let hasUnfinished = (stored?.stat.childrenCount ?? 0) > (window == nil ? 0 : 1)
        let unfinished = hasUnfinished ? try await unfinishedWindows(session, records: records) : []
        let windows = unfinished.map { ExclusiveStatus.Window($0.text, $0.stat) }
        return ExclusiveStatus(
            window: window, crashedWindows: windows.filter { $0.token != window?.token },
            processors: try await processors(
                readers: locks.filter { ContenderName($0)?.kind == .read }, members: members,
                isWindowWanted: window != nil, session: session),
            lastWindows: records)
    }

    private func processors(
        readers: [String], members: [String], isWindowWanted: Bool, session: LiveSession
    ) async throws -> [ExclusiveStatus.Processor] {
        let requests =
            readers.map { SessionRequest.data(path: ZNodePath.child($0, of: locksPath)) }
            + members.map { SessionRequest.data(path: ZNodePath.child($0, of: membersPath)) }
        let results = try await session.flight(requests)
        var processors: [ExclusiveStatus.Processor] = []
        var seen: Set<ZNodeName> = []
        for (node, result) in zip(readers, results) {
            guard let data = try result.dataUnlessMissing() else { continue }
            let text = ProcessorRecord(data, nodeName: node)
            seen.insert(text.member)
            processors.append(text.processor(text.activity(isWindowWanted: isWindowWanted)))
        }
        for (node, result) in zip(members, results.dropFirst(readers.count)) where !seen.contains(node) {
            guard let data = try result.dataUnlessMissing() else { continue }
            processors.append(ProcessorRecord(data, nodeName: node).processor(.paused))
        }
        return processors.sorted { ZNodeName($0.name) < ZNodeName($1.name) }
    }
}

extension ProcessorRecord {
    /// What a processor with a read znode is doing: what it reports, else what the signal says.
    fileprivate func activity(isWindowWanted: Bool) -> ExclusiveStatus.Processor.Activity {
        if isDraining { return .draining(inside: inside, oldest: oldest) }
        // Whatever it reported before is about an earlier window.
        if isWindowWanted { return .draining(inside: nil, oldest: nil) }
        return switch state {
        case .reopened: .reopened(inside: inside, oldest: oldest)
        case .recovering: .recovering
        case .recovered, nil: .running
        }
    }

    fileprivate func processor(_ activity: ExclusiveStatus.Processor.Activity) -> ExclusiveStatus.Processor {
        ExclusiveStatus.Processor(name: name, host: host, pid: pid, activity: activity)
    }
}

extension SessionResult {
    /// A participant's data, empty when it may not be read, or `nil` when its znode does not stand.
    fileprivate func dataUnlessMissing() throws(ZooKeeperError) -> [UInt8]? {
        if case .failure(let error) = self, error.code == .noAuth { return [] }
        return try replyIfExists()?.data.data
    }

    /// The reply, or `nil` when the znode does not stand.
    func replyIfExists() throws(ZooKeeperError) -> SessionReply? {
        switch self {
        case .success(let reply): return reply
        case .failure(let error) where error.code == .noNode: return nil
        case .failure(let error): throw error
        }
    }
}
