internal import Logging
internal import ZooKeeper

/// A window without a record of its end: its own znode below `BASE/windows` exists, with the same data as the signal.
///
/// The znode is persistent. It is created in one transaction with the signal, and deleted in the transaction that
/// writes the record. If it exists and its signal does not, the window crashed, and its operation may not have ended
/// yet. In this case gates stay closed and windows wait for the resume delay. A participant that has waited writes the
/// record and deletes the znode.
struct UnfinishedWindow: Sendable {
    var text: SignalRecord
    var stat: ZNodeStat

    /// Returns the record of the window if it has crashed.
    ///
    /// - Parameter time: The time when the crash was detected, by the ensemble's clock.
    func record(noticed time: Timestamp) -> WindowRecord {
        WindowRecord(
            id: text.id, token: FencingToken(rawValue: stat.czxid.rawValue), participantID: text.owner,
            reason: text.reason,
            requestedAt: stat.ctime, drainDuration: nil, duration: max(time - stat.ctime, .zero), outcome: .crashed,
            slowestProcessor: nil,
            evicted: [])
    }
}

/// The children of `BASE/windows` that a participant found: windows that crashed, and holds.
struct WindowLeftovers: Sendable {
    var crashed: [UnfinishedWindow]
    /// The owners of the holds.
    var holds: [String]
}

/// The windows that crashed, and the time when that was detected, by the ensemble's clock.
struct WindowCrash: Sendable {
    var windows: [UnfinishedWindow]
    var noticed: Timestamp
}

extension ExclusiveMode {
    func unfinishedPath(_ id: String) -> String { ZNodePath.child(id, of: windowsPath) }

    /// Returns the windows that have crashed, and the owners of the holds.
    ///
    /// These windows have no record. They were requested before a znode of this session was created, and after that
    /// creation their signal did not exist.
    ///
    /// - Parameters:
    ///   - czxid: The ID of the transaction that created that znode.
    ///   - node: The path of that znode.
    ///   - session: The session.
    ///   - records: The current records: the znode of a recorded window may exist, if it could not be deleted.
    /// - Complexity: 2 requests in 1 round trip, then 1 for each window without a record in a second round trip.
    func leftovers(
        before czxid: ZXID, of node: String, in session: SessionHandle, records: [WindowRecord]
    ) async throws -> WindowLeftovers {
        // A server that is behind does not have the znodes yet.
        let batch = RequestBatch()
        let listing = try await session.sendAll(behindBarrierAt: node, [.children(path: windowsPath)], batch: batch)
        let names = try listing[0].get().children.names
        let unfinished = try await unfinishedWindows(among: names, in: session, batch, records: records)
        return WindowLeftovers(
            crashed: unfinished.filter { $0.stat.czxid < czxid }, holds: ExclusiveHold.owners(among: names))
    }

    /// Returns the windows without a record, among the children of `BASE/windows`: those that crashed, and the one that
    /// is requested or open.
    func unfinishedWindows(
        among children: [String], in session: SessionHandle, _ batch: RequestBatch = RequestBatch(),
        records: [WindowRecord]
    ) async throws -> [UnfinishedWindow] {
        let ended = Set(records.filter { $0.outcome != .evicting }.map { ZNodeName($0.id) })
        let names = children.filter { !ended.contains(ZNodeName($0)) && !ExclusiveHold.isName($0) }
        let found = try await session.sendAll(names.map { .data(path: unfinishedPath($0)) }, batch: batch)
        return try zip(names, found).compactMap { name, result in
            // A znode without permission to read it does not belong to participants that share their permissions.
            if case .failure(let error) = result, error.code == .noAuth { return nil }
            guard let (data, stat) = try result.replyIfExists()?.data else { return nil }
            let text = SignalRecord(data)
            return text.keepsRecords && text.id.hasBytes(of: name) ? UnfinishedWindow(text: text, stat: stat) : nil
        }
    }

    /// Attempts once to write the records of windows that crashed.
    ///
    /// - Returns: Whether no further attempt is needed, because the records are written, by this call or by another
    ///   participant, or cannot be written.
    func record(_ crash: WindowCrash, in session: SessionHandle) async throws -> Bool {
        let requests = crash.windows.map { SessionRequest.data(path: unfinishedPath($0.text.id)) }
        let results = try await session.sendAll([.data(path: windowsPath)] + requests)
        let left = try zip(crash.windows, results.dropFirst()).filter { try $1.replyIfExists() != nil }.map(\.0)
        guard !left.isEmpty, let (data, stat) = try results[0].replyIfExists()?.data else { return true }
        let records = WindowRecord.list(data) + left.map { $0.record(noticed: crash.noticed) }
        let write = TransactionOperation.setData(
            WindowRecord.bytes(records), at: windowsPath, version: stat.dataVersion)
        let deletions = left.map { TransactionOperation.delete(unfinishedPath($0.text.id)) }
        var result = try await session.sendAll(.multi([write] + deletions))[0]
        if case .failure(let error) = result, [.noAuth, .notEmpty].contains(error.code), error.failedOperation != 0 {
            // The znodes remain, and the records show that the windows have ended.
            result = try await session.sendAll(.multi([write]))[0]
        }
        guard case .failure(let error) = result else { return true }
        if error.isTransient || [.badVersion, .noNode].contains(error.code) { return false }
        client.logger.warning(
            "Cannot record that a window crashed",
            metadata: ["zookeeper.path": "\(windowsPath)", "error": "\(error)"])
        return true
    }
}
