internal import Logging
internal import ZooKeeper

// How a window takes the places of those away who do not pause.
extension WindowRun {
    /// Deletes the read znodes of those who have not paused, and waits until they must have stopped.
    ///
    /// From the deletion on their proofs fail; what they proved before ends within their session timeout. A window that
    /// ends before that, crashed, cancelled or lost, must not leave them to a next one that sees no trace of them: that
    /// their places are taken away is recorded first, and recorded and done only while the own write znode stands, for
    /// which a next window waits.
    func force(_ tracker: inout DrainTracker) async throws {
        let (nodes, wait) = tracker.force(assumed: mode.configuration.assumedSessionTimeout)
        try await announce(wait, tracker)
        for node in nodes {
            _ = try await insist(.delete(ZNodePath.child(node, of: mode.locksPath)), mayFailWith: [.noNode])
        }
        try await sleep(until: clock.now + wait)
    }

    /// Waits for those that earlier windows have left running: processors whose places were taken away, and the operations
    /// of windows that crashed, whose records are written then.
    ///
    /// Who gives up after a time gives up then, as with processors that do not pause.
    /// - Returns: The windows whose taking away of places need not be waited for any more.
    func awaitEarlierWindows(_ tracker: inout DrainTracker) async throws -> Set<String> {
        let crashed = request.isAfterCrash ? try await crashedWindows() : []
        let records = tracker.isBehindAnother ? try await presentRecords().list : request.records
        let unsettled = records.filter { $0.outcome == .forcing && $0.id != request.id }
        var end = unsettled.compactMap(\.forcedFor).max().map { clock.now + $0 } ?? .distantPast
        if !crashed.isEmpty { end = max(end, request.answered + mode.configuration.resumeDelay) }
        if case .abort(let patience) = drain.kind, request.requested + patience < end, clock.now < end {
            try await sleep(until: request.requested + patience)
            let who = Set(unsettled.flatMap(\.forced) + crashed.map(\.text.owner)).sorted()
            throw RecipeError(.notPaused, in: .exclusiveMode, path: mode.path, participants: who)
        }
        if clock.now < end {
            mode.logger.warning(
                "The operation waits, because a window before it crashed or took places away",
                metadata: ["zookeeper.owners": .array(crashed.map { "\(EscapedText.escaped($0.text.owner))" })])
            try await sleep(until: end)
            tracker.forgetSlowest()
        }
        if !crashed.isEmpty { try await record(crashed) }
        return Set(unsettled.map(\.id) + [request.id])
    }

    private func record(_ crashed: [UnfinishedWindow]) async throws {
        let crash = WindowCrash(windows: crashed, noticed: request.requestedAt)
        while true {
            do {
                if try await mode.record(crash, in: request.session) { return }
                try await sleep(until: clock.now + .milliseconds(50))
            } catch let error as ZooKeeperError {
                try await pause(after: error)
            }
        }
    }

    private func crashedWindows() async throws -> [UnfinishedWindow] {
        while true {
            do {
                return try await mode.crashedWindows(
                    before: request.holds.signal.czxid, of: request.holds.write.path, in: request.session,
                    records: request.records)
            } catch let error as ZooKeeperError {
                try await pause(after: error)
            }
        }
    }

    private func announce(_ wait: Duration, _ tracker: DrainTracker) async throws {
        var record = record(.forcing, drained: nil, tracker: tracker)
        record.drained = record.ended + wait
        while true {
            let (records, version) = try await presentRecords()
            // An answer may have been lost.
            if records.contains(where: { $0.id == record.id && $0.outcome == .forcing }) { return }
            let bytes = WindowRecord.bytes(records + [record])
            let write = TransactionOperation.setData(bytes, at: mode.windowsPath, version: version)
            if try await insist(write, mayFailWith: [.badVersion, .noNode]) { return }
        }
    }

    /// The records as they stand now; made anew when somebody has deleted them.
    private func presentRecords() async throws -> (list: [WindowRecord], version: Int32) {
        while true {
            switch try await request.session.flight(.data(path: mode.windowsPath))[0] {
            case .success(let reply):
                let (data, stat) = try reply.data
                return (WindowRecord.list(data), stat.dataVersion)
            case .failure(let error) where error.code == .noNode: try await mode.createStructure()
            case .failure(let error): try await pause(after: error)
            }
        }
    }

    /// Has an operation executed while the own write znode stands, however often its answer is lost.
    ///
    /// - Returns: Whether it succeeded; else it failed with one of the codes.
    private func insist(
        _ operation: TransactionOperation, mayFailWith codes: [ZooKeeperError.Code]
    ) async throws -> Bool {
        while true {
            let result = try await request.session.flight(.multi([.check(request.holds.write.path), operation]))[0]
            guard case .failure(let error) = result else { return true }
            switch error.failedOperation {
            case 0 where error.code == .noNode:
                throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, reason: .znodeDeleted)
            case 1 where codes.contains(error.code): return false
            default: try await pause(after: error)
            }
        }
    }

    /// What was lost with its connection is tried again soon; other errors are final.
    private func pause(after error: ZooKeeperError) async throws {
        if error.code == .sessionExpired {
            throw RecipeError(
                .lost, in: .exclusiveMode, path: mode.path, reason: request.session.endReason ?? .sessionEnded)
        }
        guard error.isTransient else { throw error }
        try await sleep(until: clock.now + .milliseconds(50))
    }
}
