internal import Logging
internal import Synchronization
internal import ZooKeeper
internal import ZooKeeperRecipes

// One run, from its claim to the record of its end.
extension Scheduler {
    func isOn(_ period: String, attempt: Int) -> Bool {
        state.withLock { state in
            guard let active = state.active else { return false }
            return active.running.period == period && active.attempt == attempt
        }
    }

    /// Runs the task, awaits it, and records its end.
    func execute(_ record: RunRecord) async {
        await task.atStep(.claimed, record)
        guard let ending = state.withLock({ $0.active?.ending }) else { return }
        let body = Task { try await self.perform(record) }
        ending.observe { _ in body.cancel() }
        let result = await withTaskCancellationHandler {
            await body.result
        } onCancel: {
            body.cancel()
        }
        let wasCancelled = Task.isCancelled
        // The end is recorded even if the term ends or the task is cancelled.
        await Task { await self.conclude(record, result, ending: ending.value, wasCancelled: wasCancelled) }.value
        state.withLock { $0.active = nil }
        changed.signal()
    }

    // MARK: The task

    private func perform(_ record: RunRecord) async throws {
        guard let mode = configuration.exclusive else { return try await attempt(record, window: nil) }
        let asked = client.clock.now
        try await mode.withWindow(
            reason: "\(task.name) \(record.period)", drain: configuration.drain
        ) { window in
            try await self.attempt(record, window: window)
        }
        let resumed = client.clock.now - asked
        await Task { await self.noteResumed(record, after: resumed) }.value
    }

    private func attempt(_ record: RunRecord, window: ExclusiveWindow?) async throws {
        try Task.checkCancellation()
        let began = now
        let started = try await change(record.period, attempt: record.attempt, window: window) { record in
            record.state = .started
            record.startedAt = began
            record.window = window.map(RunRecord.Window.init)
            if let window { record.token = window.fencingToken }
        }
        if record.kind == .scheduled, record.attempt == 1 {
            client.recipeMetrics.started(late: began - record.start)
        }
        await task.atStep(.started, started)
        task.logger.info(
            "Begins \(started.period)",
            metadata: [
                "zookeeper.attempt": "\(started.attempt)", "zookeeper.token": "\(started.token ?? started.term)",
            ])
        try await task.body(ScheduledRun(started, window: window, scheduler: self))
        await task.atStep(.ended, started)
        let ended = now
        let done = try await Task {
            try await self.change(record.period, attempt: record.attempt, window: window) { record in
                record.state = .completed
                record.endedAt = ended
            }
        }.value
        await task.atStep(.recorded, done)
    }

    private func noteResumed(_ record: RunRecord, after span: Duration) async {
        _ = try? await change(record.period, attempt: record.attempt) { $0.window?.resumed = span }
    }

    /// Stores the task's checkpoint in the record.
    func checkpoint(_ note: String, period: String, attempt: Int, window: ExclusiveWindow?) async throws {
        try await change(period, attempt: attempt, window: window) { $0.checkpoint = note }
    }

    // MARK: The end

    private func conclude(
        _ record: RunRecord, _ result: Result<Void, any Error>, ending: String?, wasCancelled: Bool
    ) async {
        guard case .failure(let error) = result else {
            task.logger.info("Completed \(record.period)")
            return await prune()
        }
        let known = state.withLock { $0.records[record.period]?.record }
        // The run is completed already; only its window could not be ended properly.
        guard let known, known.state.isOpen else { return }
        var pauses = false
        let state: RunRecord.State
        let why: String
        if let ending {
            (state, why) = (.abandoned, "cancelled: \(ending)")
        } else if wasCancelled {
            // A run that has not started stays claimed, and the next leader starts it.
            guard known.state == .started else { return }
            (state, why) = (.interrupted, "\(task.id) was stopped, or lost the leadership")
        } else if error.isLoss {
            guard known.state == .started else { return }
            (state, why) = (.interrupted, "\(error)")
        } else {
            (state, why) = (.failed, "\(error)")
            pauses = configuration.pauseOnFailure
        }
        task.logger.warning(
            "\(state.rawValue): \(record.period)", metadata: ["zookeeper.reason": "\(EscapedText.escaped("\(why)"))"])
        let ended = now
        await recordEnd(record, pausing: pauses ? "\(record.period) failed: \(why)" : nil) { record in
            record.state = state
            record.endedAt = ended
            record.message = why
        }
        if task.schedule.isWithLeadership, state == .failed { fail(error) }
    }

    private func recordEnd(
        _ record: RunRecord, pausing note: String?, _ edit: @Sendable (inout RunRecord) -> Void
    ) async {
        do {
            try await change(record.period, attempt: record.attempt, pausing: note, edit)
            await prune()
        } catch {
            task.logger.warning("A run's end was not recorded", metadata: ["zookeeper.reason": "\(error)"])
        }
    }

    /// Changes the record of an attempt of this term, and retries until it is written.
    ///
    /// - Parameter note: If set, the same transaction pauses the task with this note.
    /// - Returns: The written record.
    /// - Throws: `RecipeError` with code `.lost`, or `.notRunning` if the record belongs to another attempt.
    @discardableResult
    private func change(
        _ period: String, attempt: Int, window: ExclusiveWindow? = nil, pausing note: String? = nil,
        _ edit: @Sendable (inout RunRecord) -> Void
    ) async throws -> RunRecord {
        while true {
            let (known, present) = state.withLock { ($0.records[period]?.record, $0.wishes) }
            guard var record = known, record.attempt == attempt, record.term == term.fencingToken else {
                throw RecipeError(.notRunning, in: .scheduledTask, path: path)
            }
            let before = record.state
            edit(&record)
            // A recorded end is final, even if its response was lost and this node does not know about it.
            if !before.isOpen, before != record.state { throw RecipeError(.notRunning, in: .scheduledTask, path: path) }
            var wishes: OperatorCommands?
            if let note, present.pause == nil {
                wishes = present
                wishes?.pause = OperatorCommands.Pause(reason: note, requestedBy: task.id)
            }
            do {
                _ = try await store(record, wishes: wishes, window: window)
                return record
            } catch is StoreConflict {
                state.withLock { $0.isStale = true }
                try await refresh()
            }
        }
    }
}

extension RunRecord.Window {
    init(_ window: ExclusiveWindow) {
        self.init(
            token: window.fencingToken, processors: window.processors.count, drainDuration: window.drainDuration,
            slowestProcessor: window.slowestProcessor, evicted: window.evicted, resumed: nil)
    }
}

extension Error {
    /// Whether the leadership or the window was lost, so that the task itself has not failed.
    fileprivate var isLoss: Bool {
        guard let error = self as? RecipeError else { return false }
        return error.code == .lost && [.scheduledTask, .election, .exclusiveMode].contains(error.recipe)
    }
}
