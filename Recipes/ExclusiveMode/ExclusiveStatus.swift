public import ZooKeeper

/// The status of an exclusive mode: the window, the holds, and the processors that have paused.
public struct ExclusiveStatus: Sendable, Hashable {
    /// A window that is requested or open.
    public struct Window: Sendable, Hashable {
        /// The ID of the participant that requested it.
        public var participantID: String
        /// The purpose of the window.
        public var reason: String
        /// The time of the request, by the ensemble's clock.
        public var requestedAt: Timestamp
        /// The fencing token of the window.
        public var token: FencingToken
    }

    /// A processor, as the ensemble has it registered.
    public struct Processor: Sendable, Hashable {
        /// The activity of a processor.
        public enum Activity: Sendable, Hashable {
            /// The gate may admit events.
            case running
            /// The gate admits no events and waits for those inside, because a window is requested, there is a hold, or
            /// the gate is stopping.
            ///
            /// `inside` is the number of events inside in the last report, and `oldest` the longest time of any of
            /// them. Both are `nil` without a report.
            case draining(inside: Int?, oldest: Duration?)
            /// The gate was draining, and admits events again because the window ended before it opened.
            ///
            /// `inside` is the number of events that were still inside at that time, and `oldest` the longest time of
            /// any of them.
            case reopened(inside: Int?, oldest: Duration?)
            /// The gate stays closed for ``ExclusiveMode/Configuration/resumeDelay``, because a window crashed.
            ///
            /// The operation of that window may not have ended yet.
            case recovering
            /// The processor has acknowledged the pause, or is about to join.
            case paused
        }

        /// The ID of the processor; for a processor of another client library, such as a JVM's, the name of its lock
        /// znode.
        public var id: String
        /// The host of the processor; empty if unknown.
        public var host: String
        /// The process ID of the processor; 0 if unknown.
        public var pid: Int32
        /// The current activity of the processor.
        public var activity: Activity
    }

    /// The window that is requested or open; `nil` if there is none.
    public var window: Window?
    /// The holds, the oldest first: processors stay paused until the last one is removed.
    ///
    /// If the znodes of all holds were deleted, but not their signal, this is the hold that has created it:
    /// ``ExclusiveMode/removeHold(_:timeout:)`` deletes the signal.
    public var holds: [ExclusiveHold] = []
    /// The windows that crashed and have no records yet, because no participant has waited the resume delay for them.
    ///
    /// The next participant that processes events or opens a window waits the resume delay first.
    public var crashedWindows: [Window]
    /// The processors, by ID.
    public var processors: [Processor]
    /// The records of the last windows, the newest last.
    public var recentWindows: [WindowRecord]

    /// Whether processors have to pause, for a window or a hold.
    public var isPauseRequested: Bool { window != nil || !holds.isEmpty }

    /// The processors that have not paused although a window is requested or there is a hold.
    public var notPaused: [Processor] {
        guard isPauseRequested else { return [] }
        return processors.filter { if case .draining = $0.activity { true } else { false } }
    }
}

extension ExclusiveStatus.Window {
    init(_ text: SignalRecord, _ stat: ZNodeStat) {
        self.init(
            participantID: text.owner, reason: text.reason, requestedAt: stat.ctime,
            token: FencingToken(rawValue: stat.czxid.rawValue))
    }
}

extension ExclusiveMode {
    /// Returns the status of the exclusive mode, without taking part.
    ///
    /// The status is not an atomic snapshot: a change made meanwhile may or may not be included.
    ///
    /// - Returns: The window, the holds, the crashed windows, the processors and the records of the last windows.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` or `.clientStopped`; `CancellationError`.
    /// - Complexity: 5 requests in 1 round trip. In a second round trip, 1 for each read znode and each member znode: 2
    ///   for a running processor, 1 for a paused one. During a window, after a crash and during a hold, 1 more, and 1
    ///   for each window without a record and each hold, in up to 3 more round trips.
    public func status() async throws -> ExclusiveStatus {
        let session = try await client.connectedSession()
        let results = try await session.sendAll(
            .data(path: signalPath), .children(path: locksPath), .children(path: membersPath),
            .data(path: windowsPath), .data(path: heldWindowPath))
        var window: ExclusiveStatus.Window?
        var leftHold: ExclusiveHold?
        for result in [results[0], results[4]] {
            guard let (data, stat) = try result.replyIfExists()?.data else { continue }
            let signal = SignalRecord(data)
            if signal.isHold {
                leftHold = ExclusiveHold(participantID: signal.owner, reason: signal.reason, since: stat.ctime)
            } else {
                window = ExclusiveStatus.Window(signal, stat)
            }
        }
        let locks = try results[1].replyIfExists()?.children.names ?? []
        let members = try results[2].replyIfExists()?.children.names ?? []
        let stored = try results[3].replyIfExists()?.data
        let records = WindowRecord.list(stored?.data ?? [])
        // A window may have a child there, except one of Curator.
        let hasChildren = (stored?.stat.childrenCount ?? 0) > 0
        let listing = hasChildren ? try await session.sendAll(.children(path: windowsPath))[0].replyIfExists() : nil
        let others = try listing?.children.names ?? []
        let windows = try await unfinishedWindows(among: others, in: session, records: records)
            .map { ExclusiveStatus.Window($0.text, $0.stat) }
        var holds = try await holds(among: others, in: session)
        // The znode of the last hold was deleted, but not the signal, for which the gates wait.
        if holds.isEmpty, let leftHold { holds = [leftHold] }
        return ExclusiveStatus(
            window: window, holds: holds, crashedWindows: windows.filter { $0.token != window?.token },
            processors: try await processors(
                readers: locks.filter { ContenderName($0)?.kind == .read }, members: members,
                isPauseRequested: window != nil || !holds.isEmpty, session: session),
            recentWindows: records)
    }

    private func processors(
        readers: [String], members: [String], isPauseRequested: Bool, session: SessionHandle
    ) async throws -> [ExclusiveStatus.Processor] {
        let requests =
            readers.map { SessionRequest.data(path: ZNodePath.child($0, of: locksPath)) }
            + members.map { SessionRequest.data(path: ZNodePath.child($0, of: membersPath)) }
        let results = try await session.sendAll(requests)
        var processors: [ExclusiveStatus.Processor] = []
        var seen: Set<ZNodeName> = []
        for (node, result) in zip(readers, results) {
            guard let data = try result.dataUnlessMissing() else { continue }
            let text = ProcessorRecord(data, nodeName: node)
            seen.insert(text.member)
            processors.append(text.processor(text.activity(isPauseRequested: isPauseRequested)))
        }
        for (node, result) in zip(members, results.dropFirst(readers.count)) where !seen.contains(node) {
            guard let data = try result.dataUnlessMissing() else { continue }
            processors.append(ProcessorRecord(data, nodeName: node).processor(.paused))
        }
        return processors.sorted { ZNodeName($0.id) < ZNodeName($1.id) }
    }
}

extension ProcessorRecord {
    /// Returns the activity of a processor with a read znode: the reported one, or otherwise the one that the signal
    /// implies.
    fileprivate func activity(isPauseRequested: Bool) -> ExclusiveStatus.Processor.Activity {
        if isDraining { return .draining(inside: inside, oldest: oldest) }
        // Any earlier report is about an earlier window.
        if isPauseRequested { return .draining(inside: nil, oldest: nil) }
        return switch state {
        case .reopened: .reopened(inside: inside, oldest: oldest)
        case .recovering: .recovering
        case .recovered, nil: .running
        }
    }

    fileprivate func processor(_ activity: ExclusiveStatus.Processor.Activity) -> ExclusiveStatus.Processor {
        ExclusiveStatus.Processor(id: name, host: host, pid: pid, activity: activity)
    }
}

extension SessionResult {
    /// Returns a participant's data: empty without permission to read it, `nil` if its znode does not exist.
    fileprivate func dataUnlessMissing() throws(ZooKeeperError) -> [UInt8]? {
        if case .failure(let error) = self, error.code == .noAuth { return [] }
        return try replyIfExists()?.data.data
    }

    /// Returns the reply, or `nil` if the znode does not exist.
    func replyIfExists() throws(ZooKeeperError) -> SessionReply? {
        switch self {
        case .success(let reply): return reply
        case .failure(let error) where error.code == .noNode: return nil
        case .failure(let error): throw error
        }
    }
}
