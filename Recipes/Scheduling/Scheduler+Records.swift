internal import Logging
internal import Synchronization
internal import ZooKeeper
internal import ZooKeeperRecipes

/// The error for cached records that are out of date: read them again, and make a new decision.
struct StoreConflict: Error {}

// Reads records and operator commands, and writes as the leader.
extension Scheduler {
    // MARK: Reading

    /// Reads records and operator commands, unless the cached ones are current.
    func refresh() async throws {
        guard state.withLock({ $0.isStale }) else { return }
        let since = try await readSince()
        try await readWishes()
        let records = try await readRecords()
        state.withLock { state in
            state.records = records
            state.since = since
            state.isStale = false
        }
    }

    /// Returns the time since when the schedule exists: when the parent znode of the records was created.
    ///
    /// A `since` field in that znode's data takes precedence.
    private func readSince() async throws -> Timestamp {
        while true {
            do {
                let (data, stat) = try await client.data(at: paths.runs)
                return KeyValueData(data)["since"].flatMap(Timestamp.init) ?? stat.ctime
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await createIfMissing(paths.runs)
            }
        }
    }

    func createIfMissing(_ path: String) async throws {
        do {
            try await client.create(path, parents: true)
        } catch let error as ZooKeeperError where error.code == .nodeExists {
            return
        }
    }

    private func readRecords() async throws -> [String: Stored] {
        let names = try await client.children(of: paths.runs).names
        var records: [String: Stored] = [:]
        for child in try await client.readChildren(names, of: paths.runs) {
            records[child.name] = stored(child.name, try child.read(), child.stat)
        }
        return records
    }

    /// Parses a record.
    ///
    /// An unreadable record counts as a decision about its period, which is not run.
    private func stored(_ name: String, _ data: [UInt8], _ stat: ZNodeStat) -> Stored {
        if var record = RunRecord(data) {
            record.period = name
            if record.state == .claimed { record.token = FencingToken(rawValue: stat.mzxid.rawValue) }
            return Stored(record: record, version: stat.dataVersion)
        }
        task.logger.warning("A record cannot be read", metadata: ["zookeeper.path": "\(paths.run(name))"])
        let period = Schedule.Period(id: name, start: stat.ctime, end: nil, note: nil)
        var record = RunRecord(period, kind: .requested, state: .skipped, participantID: "", term: term.fencingToken)
        record.message = "the record cannot be read"
        return Stored(record: record, version: stat.dataVersion)
    }

    private func readWishes() async throws {
        while true {
            do {
                let (data, stat) = try await client.data(at: paths.control)
                return take(OperatorCommands(data), stat)
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await createIfMissing(paths.control)
            }
        }
    }

    /// Stores operator commands.
    ///
    /// An older response never replaces a newer one.
    private func take(_ wishes: OperatorCommands, _ stat: ZNodeStat) {
        let isNew = state.withLock { state in
            guard state.wishesStat.map({ $0.mzxid < stat.mzxid || $0.czxid != stat.czxid }) ?? true else {
                return false
            }
            state.wishes = wishes
            state.wishesStat = stat
            return true
        }
        if isNew { changed.signal() }
    }

    /// Keeps the operator commands up to date until the task is cancelled.
    func followWishes() async {
        var backoff = client.makeBackoff(.slow)
        while !Task.isCancelled {
            do {
                let (data, stat, watch) = try await client.watchData(at: paths.control, share: nil)
                take(OperatorCommands(data), stat)
                backoff.reset()
                _ = try await watch.event()
            } catch {
                try? await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    // MARK: Writing

    /// Executes operations if this node leads and still holds the window.
    ///
    /// - Throws: `RecipeError` with code `.lost`, also if the leadership has ended and there is no connection.
    func transaction(_ operations: [TransactionOperation], window: ExclusiveWindow?) async throws -> [TransactionResult]
    {
        let checks = (window?.paths ?? []).map { TransactionOperation.check($0) }
        do {
            let term = term
            let results = try await client.run(untilDisconnectedAfter: { _ = try await term.waitUntilLost() }) {
                try await term.transaction(checks + operations)
            }
            guard let results else {
                throw RecipeError(.lost, in: .scheduledTask, path: path, lossReason: term.lossReason ?? .deadlinePassed)
            }
            return Array(results.dropFirst(checks.count))
        } catch let error as RecipeError {
            throw RecipeError(.lost, in: .scheduledTask, path: path, lossReason: error.lossReason)
        } catch var error as ZooKeeperError {
            guard let failed = error.failedOperation else { throw error }
            if failed < checks.count {
                throw RecipeError(
                    .lost, in: .scheduledTask, path: path, lossReason: .znodeDeleted, message: "the window was lost")
            }
            error.failedOperation = failed - checks.count
            throw error
        }
    }

    /// Writes a record, and optionally the remaining operator commands, as the leader.
    ///
    /// Succeeds only if this node leads and neither znode has changed in the meantime. Retries until the outcome is
    /// known.
    ///
    /// - Throws: ``StoreConflict``; `RecipeError` with code `.lost`; `ZooKeeperError`, such as `.noAuth`;
    ///   `CancellationError`.
    /// - Complexity: 1 write in 1 round trip.
    func store(_ record: RunRecord, wishes: OperatorCommands? = nil, window: ExclusiveWindow? = nil) async throws
        -> ZNodeStat
    {
        let (known, wishesVersion) = state.withLock { ($0.records[record.period], $0.wishesStat?.dataVersion) }
        var operations = known == nil ? [TransactionOperation.create(paths.run(record.period))] : []
        operations.append(.setData(record.bytes, at: paths.run(record.period), version: known?.version ?? 0))
        if let wishes { operations.append(.setData(wishes.bytes, at: paths.control, version: wishesVersion)) }
        let stats = try await write(operations, window: window) {
            let (data, stat) = try await self.client.data(at: self.paths.run(record.period))
            return data == record.bytes ? stat : nil
        }
        guard let stat = stats.first else { throw StoreConflict() }
        if !record.state.isOpen, known?.record.state != record.state {
            client.recipeMetrics.ended(record.state.rawValue)
        }
        state.withLock { state in
            var stored = record
            if record.state == .claimed { stored.token = FencingToken(rawValue: stat.mzxid.rawValue) }
            state.records[record.period] = Stored(record: stored, version: stat.dataVersion)
            guard let wishes else { return }
            state.wishes = wishes
            // Without its stat, the control znode must be read again before the next write.
            if stats.count > 1 { state.wishesStat = stats[1] } else { state.isStale = true }
        }
        return stat
    }

    /// Writes the remaining operator commands.
    func store(_ wishes: OperatorCommands) async throws {
        let version = state.withLock { $0.wishesStat?.dataVersion }
        let stats = try await write([.setData(wishes.bytes, at: paths.control, version: version)], window: nil) {
            let (data, stat) = try await self.client.data(at: self.paths.control)
            return data == wishes.bytes ? stat : nil
        }
        state.withLock { state in
            state.wishes = wishes
            state.wishesStat = stats.first ?? state.wishesStat
        }
    }

    /// Executes a transaction until its outcome is known.
    ///
    /// - Parameter find: Checks whether the transaction has happened, and returns the stat of the first written znode
    ///   if so.
    /// - Returns: The stats of the written znodes; only the first one if a response was lost.
    private func write(
        _ operations: [TransactionOperation], window: ExclusiveWindow?,
        find: @Sendable () async throws -> ZNodeStat?
    ) async throws -> [ZNodeStat] {
        var backoff = client.makeBackoff(.quick)
        var mayHaveHappened = false
        while true {
            do {
                return try await transaction(operations, window: window).compactMap(\.stat)
            } catch let error as ZooKeeperError where error.isTransientInSession {
                mayHaveHappened = mayHaveHappened || error.isOutcomeUnknown
                if let reason = term.lossReason {
                    throw RecipeError(.lost, in: .scheduledTask, path: path, lossReason: reason)
                }
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            } catch let error as ZooKeeperError
                where [.nodeExists, .badVersion, .noNode].contains(error.code)
            {
                if mayHaveHappened, let stat = try await find() { return [stat] }
                throw StoreConflict()
            }
        }
    }

    // MARK: Pruning

    /// Deletes the oldest records beyond the number to keep.
    func prune() async {
        let surplus = state.withLock { $0.records.surplus(keep: configuration.maximumRecords) }
        guard !surplus.isEmpty else { return }
        for period in surplus {
            do {
                _ = try await transaction([.delete(paths.run(period))], window: nil)
            } catch let error as ZooKeeperError where error.code == .noNode {
                // The record has been deleted by another client.
            } catch {
                // The end of the next run tries again.
                return
            }
            state.withLock { $0.records[period] = nil }
        }
    }
}

extension [String: Scheduler.Stored] {
    /// Returns the periods whose records are to be deleted, oldest first.
    ///
    /// Open records are kept, and so is the latest record of a scheduled period, which marks the progress of the
    /// schedule.
    func surplus(keep: Int) -> [String] {
        let closed = values.map(\.record).filter { !$0.state.isOpen }
        let last = closed.filter(\.isWatermark).max { $0.start < $1.start }
        let oldestFirst = closed.filter { $0.period != last?.period }
            .sorted { ($0.endedAt ?? $0.start, $0.period) < ($1.endedAt ?? $1.start, $1.period) }
        return oldestFirst.prefix(Swift.max(0, closed.count - keep)).map(\.period)
    }
}
