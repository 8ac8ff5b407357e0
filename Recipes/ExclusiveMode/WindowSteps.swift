internal import Logging
internal import ZooKeeper

/// Performs the actions of a window's state machine, each once.
struct WindowSteps {
    let run: WindowRun
    let watches: StragglerWatches
    /// The windows that crashed, and whose operations are waited for.
    private var crashed: [UnfinishedWindow] = []
    /// Whether a contender that cannot be watched was already logged; only one is logged for each round of reads.
    private var hasWarned = false

    init(run: WindowRun, watches: StragglerWatches) {
        self.run = run
        self.watches = watches
    }

    private var mode: ExclusiveMode { run.mode }
    private var request: WindowRequest { run.request }

    /// Performs an action.
    ///
    /// - Returns: The outcome; a `ZooKeeperError` is one.
    /// - Throws: If the window ends, because it is lost, given up, cancelled, or cannot continue.
    mutating func perform(
        _ action: WindowStateMachine.Action, _ tracker: DrainTracker
    ) async throws -> WindowStateMachine.Event {
        if case .fail(let error) = action { throw error }
        do {
            return try await attempt(action, tracker)
        } catch let error as ZooKeeperError {
            guard error.code == .sessionExpired else { return .failed(error) }
            throw run.lost(request.session.endReason ?? .sessionEnded)
        }
    }

    private mutating func attempt(
        _ action: WindowStateMachine.Action, _ tracker: DrainTracker
    ) async throws -> WindowStateMachine.Event {
        switch action {
        case .look(let nodes):
            hasWarned = false
            for node in nodes { watches.look(at: node) }
        case .list: watches.list()
        case .awaitSighting(let deadline): return try await awaitSighting(until: deadline)
        case .recordEviction(let duration): return try await recordEviction(duration, tracker)
        case .evict(let node):
            _ = try await execute(.delete(ZNodePath.child(node, of: mode.locksPath)), mayFailWith: [.noNode])
        case .awaitEvicted(let end), .pause(let end): try await run.wait(until: end)
        case .findEarlierWindows(let crashed, let records): return try await findEarlierWindows(crashed, records)
        case .awaitEarlierWindows(let end):
            mode.logger.warning(
                "The operation waits, because a window before it crashed or evicted processors",
                metadata: ["zookeeper.owners": .array(crashed.map { "\(EscapedText.escaped($0.text.owner))" })])
            try await run.wait(until: end)
        case .recordCrashes:
            let crash = WindowCrash(windows: crashed, noticed: request.requestedAt)
            return try await mode.record(crash, in: request.session) ? .done : .conflict
        case .awaitValidity: try await awaitValidity()
        case .open, .fail: break
        case .abort(let participants):
            throw RecipeError(.notPaused, in: .exclusiveMode, path: mode.path, participants: participants)
        }
        return .done
    }

    private mutating func awaitSighting(until deadline: MonotonicInstant?) async throws -> WindowStateMachine.Event {
        var sightings: [StragglerWatches.Sighting] = []
        try await run.wait(until: deadline) {
            sightings = watches.take()
            return !sightings.isEmpty
        }
        for case .failed(let node, let error) in sightings where !error.isTransient && !hasWarned {
            hasWarned = true
            mode.logger.warning(
                "The window cannot watch a processor that it waits for, and tries again after a pause",
                metadata: ["zookeeper.path": "\(ZNodePath.child(node, of: mode.locksPath))", "error": "\(error)"])
        }
        return .sightings(sightings)
    }

    /// Records an eviction before it happens.
    ///
    /// A window may crash, or be cancelled or lost, before the evicted processors must have stopped. Without a record,
    /// the next window would not detect these processors. The eviction is recorded and performed only while the
    /// window's own write znode exists, which the next window waits for.
    private func recordEviction(
        _ duration: Duration, _ tracker: DrainTracker
    ) async throws -> WindowStateMachine.Event {
        guard let (records, version) = try await currentRecords() else { return .conflict }
        let earlier = records.first { $0.id == request.id && $0.outcome == .evicting }
        // The answer to an earlier attempt may have been lost.
        if earlier.map({ Set($0.evicted) }) != tracker.evicted {
            var record = run.record(.evicting, drained: nil, tracker: tracker)
            record.drainDuration = record.duration + max(duration, earlier?.evictionTime ?? .zero)
            let write = TransactionOperation.setData(
                WindowRecord.bytes(records.filter { $0 != earlier } + [record]), at: mode.windowsPath,
                version: version)
            guard try await execute(write, mayFailWith: [.badVersion, .noNode]) else { return .conflict }
        }
        mode.logger.warning(
            "Evicting processors that do not pause",
            metadata: [
                "zookeeper.processors": "\(EscapedText.escaped(tracker.evicted.sorted().joined(separator: ", ")))"
            ])
        return .done
    }

    private mutating func findEarlierWindows(
        _ searchesCrashed: Bool, _ readsRecords: Bool
    ) async throws -> WindowStateMachine.Event {
        var records = request.records
        if searchesCrashed {
            crashed = try await mode.leftovers(
                before: request.signalNode.czxid, of: request.writeNode.path, in: request.session, records: records
            ).crashed
        }
        if readsRecords {
            guard let current = try await currentRecords() else { return .conflict }
            records = current.list
        }
        return .earlierWindows(crashed: crashed.map(\.text.owner), records: records)
    }

    /// Returns the current records; `nil` if another client had deleted them, in which case they have been created
    /// again.
    private func currentRecords() async throws -> (list: [WindowRecord], version: Int32)? {
        let result = try await request.session.sendAll(.data(path: mode.windowsPath))[0]
        guard let (data, stat) = try result.replyIfExists()?.data else {
            try await mode.createStructure()
            return nil
        }
        return (WindowRecord.list(data), stat.dataVersion)
    }

    /// Executes an operation while the window's own write znode exists.
    ///
    /// - Returns: Whether it succeeded; `false` if it failed with one of the codes.
    private func execute(
        _ operation: TransactionOperation, mayFailWith codes: [ZooKeeperError.Code]
    ) async throws -> Bool {
        let result = try await request.session.sendAll(.multi([.check(request.writeNode.path), operation]))[0]
        guard case .failure(let error) = result else { return true }
        switch error.failedOperation {
        case 0 where error.code == .noNode: throw run.lost(.znodeDeleted)
        case 1 where codes.contains(error.code): return false
        default: throw error
        }
    }

    /// Waits until the window is valid: a connection that took long to establish is confirmed 1/4 of the session
    /// timeout later.
    private func awaitValidity() async throws {
        while true {
            let move = request.session.nextValidityChange()
            if request.holding.isValid { return }
            if let reason = request.holding.lossReason { throw run.lost(reason) }
            try await move.wait()
        }
    }
}
