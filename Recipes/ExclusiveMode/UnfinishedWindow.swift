internal import Logging
internal import ZooKeeper

/// A window without a record of its end: its own znode below `BASE/windows` exists, with what the signal holds.
///
/// The znode is persistent. It is created in one transaction with the signal, and deleted in the one that writes the record.
/// So when it exists and its signal does not, the window crashed, and its operation may still be winding down: gates stay shut
/// and windows wait for the resume delay. Who has waited writes the record and deletes the znode.
struct UnfinishedWindow: Sendable {
    var text: SignalRecord
    var stat: ZNodeStat

    /// What is kept of it when it has crashed.
    ///
    /// - Parameter time: When that was noticed, by the ensemble's clock.
    func record(noticed time: Duration) -> WindowRecord {
        WindowRecord(
            id: text.id, token: FencingToken(rawValue: stat.czxid.rawValue), owner: text.owner, reason: text.reason,
            requested: stat.ctime, drained: nil, ended: max(time - stat.ctime, .zero), outcome: .crashed, slowest: nil,
            evicted: [])
    }
}

/// Windows that crashed, and when that was noticed, by the ensemble's clock.
struct WindowCrash: Sendable {
    var windows: [UnfinishedWindow]
    var noticed: Duration
}

extension ExclusiveMode {
    func unfinishedPath(_ id: String) -> String { ZNodePath.child(id, of: windowsPath) }

    /// The windows that have crashed: without a record, and requested before an own znode was created, after which their
    /// signal did not exist.
    ///
    /// - Parameters:
    ///   - node: An own znode in the session.
    ///   - czxid: The transaction that created it.
    ///   - records: What is recorded: a znode that could not be deleted may have its record.
    /// - Complexity: Two requests, and one for each window without a record.
    func crashedWindows(
        before czxid: ZXID, of node: String, in session: LiveSession, records: [WindowRecord]
    ) async throws -> [UnfinishedWindow] {
        // A server that is behind does not know them yet.
        let batch = RequestBatch()
        let listing = try await session.flight(behindBarrierAt: node, [.children(path: windowsPath)], batch: batch)
        let names = try listing[0].get().children.names
        return try await unfinishedWindows(among: names, in: session, batch, records: records)
            .filter { $0.stat.czxid < czxid }
    }

    /// The windows without a record, as a server knows them: those that crashed, and the one that is wanted or open.
    func unfinishedWindows(_ session: LiveSession, records: [WindowRecord]) async throws -> [UnfinishedWindow] {
        let names = try await session.flight(.children(path: windowsPath))[0].replyIfExists()?.children.names
        return try await unfinishedWindows(among: names ?? [], in: session, RequestBatch(), records: records)
    }

    private func unfinishedWindows(
        among children: [String], in session: LiveSession, _ batch: RequestBatch, records: [WindowRecord]
    ) async throws -> [UnfinishedWindow] {
        let ended = Set(records.filter { $0.outcome != .evicting }.map { ZNodeName($0.id) })
        let names = children.filter { !ended.contains(ZNodeName($0)) }
        let found = try await session.flight(names.map { .data(path: unfinishedPath($0)) }, batch: batch)
        return try zip(names, found).compactMap { name, result in
            // One that may not be read is not of participants who share their rights.
            if case .failure(let error) = result, error.code == .noAuth { return nil }
            guard let (data, stat) = try result.replyIfExists()?.data else { return nil }
            let text = SignalRecord(data)
            return text.keepsRecords && text.id.hasBytes(of: name) ? UnfinishedWindow(text: text, stat: stat) : nil
        }
    }

    /// Tries once to write the records of windows that crashed.
    ///
    /// - Returns: Whether it is done, by this call or by somebody else, or cannot be done.
    func record(_ crash: WindowCrash, in session: LiveSession) async throws -> Bool {
        let requests = crash.windows.map { SessionRequest.data(path: unfinishedPath($0.text.id)) }
        let results = try await session.flight([.data(path: windowsPath)] + requests)
        let left = try zip(crash.windows, results.dropFirst()).filter { try $1.replyIfExists() != nil }.map(\.0)
        guard !left.isEmpty, let (data, stat) = try results[0].replyIfExists()?.data else { return true }
        let records = WindowRecord.list(data) + left.map { $0.record(noticed: crash.noticed) }
        let write = TransactionOperation.setData(
            WindowRecord.bytes(records), at: windowsPath, version: stat.dataVersion)
        let deletions = left.map { TransactionOperation.delete(unfinishedPath($0.text.id)) }
        var result = try await session.flight(.multi([write] + deletions))[0]
        if case .failure(let error) = result, [.noAuth, .notEmpty].contains(error.code), error.failedOperation != 0 {
            // They stay, and the records tell that they are over.
            result = try await session.flight(.multi([write]))[0]
        }
        guard case .failure(let error) = result else { return true }
        if error.isTransient || [.badVersion, .noNode].contains(error.code) { return false }
        client.logger.warning(
            "Cannot record that a window crashed",
            metadata: ["zookeeper.path": "\(windowsPath)", "error": "\(error)"])
        return true
    }
}
