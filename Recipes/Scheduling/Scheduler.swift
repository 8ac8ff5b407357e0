internal import Logging
internal import ServiceLifecycle
internal import Synchronization
internal import ZooKeeper
internal import ZooKeeperRecipes

/// The scheduler of one term: it reads the records, asks the plan for a decision, and carries it out.
final class Scheduler: Sendable {
    /// A record with the version of its znode.
    struct Stored: Sendable {
        var record: RunRecord
        var version: Int32
    }

    /// A run in progress.
    struct Active: Sendable {
        var running: SchedulePlan.Running
        var attempt: Int
        /// Set to end the run, with the reason.
        let ending = OneShot<String>()
    }

    struct State {
        var records: [String: Stored] = [:]
        var wishes = OperatorCommands()
        var wishesStat: ZNodeStat?
        var active: Active?
        var queued: Set<String> = []
        var since = Timestamp(seconds: 0)
        /// Whether the cached records may be out of date.
        ///
        /// They are then read again before the next decision.
        var isStale = true
    }

    let task: ScheduledTask
    let term: Term
    let paths: TaskPaths
    let plan: SchedulePlan
    let changed = WakeUp()
    let state = Mutex(State())
    /// Whether the process is shutting down gracefully: a run in progress may finish, and no other starts.
    private let isLeaving = Atomic(false)
    private let clock: EnsembleClock
    private let time: Mutex<EnsembleTime?> = Mutex(nil)

    var client: ZooKeeperClient { task.client }
    var path: String { task.path }
    var configuration: ScheduledTask.Configuration { task.configuration }

    init(task: ScheduledTask, term: Term) {
        self.task = task
        self.term = term
        paths = TaskPaths(task.path)
        plan = SchedulePlan(
            schedule: task.schedule, delivery: task.delivery, configuration: task.configuration, node: task.id)
        clock = task.clock
    }

    /// Schedules runs until the term ends, or until the process shuts down gracefully and no run is in progress.
    ///
    /// - Throws: `CancellationError` if the term ends; ``ClockSkewError`` if the clocks differ too much; the error of a
    ///   service that runs with the leadership.
    func run() async throws {
        try await withGracefulShutdownHandler {
            try await schedule()
        } onGracefulShutdown: {
            self.isLeaving.store(true, ordering: .sequentiallyConsistent)
            self.changed.signal()
        }
    }

    private func schedule() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.followWishes() }
            // A run is cancelled and awaited with the task group.
            defer { group.cancelAll() }
            while true {
                try Task.checkCancellation()
                if hasToLeave { return }
                if let run = try await step() {
                    group.addTask { await self.execute(run) }
                }
                if let failure = failure { throw failure }
            }
        }
    }

    /// Whether this node is to resign and has no run in progress that prevents it.
    private var hasToLeave: Bool {
        isLeaving.load(ordering: .sequentiallyConsistent) && state.withLock { $0.active == nil }
    }

    // MARK: Steps

    /// Makes one decision and carries it out.
    ///
    /// - Returns: The run to start, or `nil`.
    private func step() async throws -> RunRecord? {
        do {
            try await refresh()
            let decision = try await decide()
            // The process may have started to shut down in the meantime.
            if hasToLeave { return nil }
            return try await carryOut(decision)
        } catch is StoreConflict {
            state.withLock { $0.isStale = true }
            try await sleep(.milliseconds(20))
        } catch let error as ZooKeeperError where error.isTransientInSession {
            try await sleep(.milliseconds(50))
        }
        return nil
    }

    private func sleep(_ span: Duration) async throws {
        try await client.clock.sleep(until: client.clock.now + span)
    }

    private func decide() async throws -> SchedulePlan.Decision {
        let age = try await readClock(ifOlderThan: configuration.clockInterval)
        let decision = plan.decide(situation())
        if case .wait = decision { return decision }
        // An action needs a fresh reading, because the clocks of the nodes run at different rates.
        guard age > .seconds(1) else { return decision }
        try await readClock(ifOlderThan: .seconds(1))
        return plan.decide(situation())
    }

    private func situation() -> SchedulePlan.Situation {
        let now = now
        return state.withLock { state in
            SchedulePlan.Situation(
                now: now, term: term.fencingToken, since: state.since,
                records: state.records.mapValues(\.record), wishes: state.wishes, running: state.active?.running,
                queued: state.queued)
        }
    }

    private func carryOut(_ decision: SchedulePlan.Decision) async throws -> RunRecord? {
        switch decision {
        case .claim(let record, let isOnTime, let wishes): return try await claim(record, isOnTime: isOnTime, wishes)
        case .settle(let record, let wishes):
            task.logger.notice(
                "\(record.state.rawValue): \(record.period)",
                metadata: ["zookeeper.reason": "\(EscapedText.escaped(record.message ?? ""))"])
            _ = try await store(record, wishes: wishes)
            await prune()
        case .wish(let wishes): try await store(wishes)
        case .cancelRun(let reason): cancelRun(reason)
        case .wait(let until): await wait(until: until)
        }
        return nil
    }

    private func claim(_ record: RunRecord, isOnTime: Bool, _ wishes: OperatorCommands?) async throws -> RunRecord {
        let running = SchedulePlan.Running(period: record.period, isOnTime: isOnTime)
        state.withLock { $0.active = Active(running: running, attempt: record.attempt) }
        do {
            var claimed = record
            claimed.token = FencingToken(rawValue: try await store(record, wishes: wishes).mzxid.rawValue)
            task.tell(.running(period: record.period, attempt: record.attempt))
            return claimed
        } catch {
            state.withLock { $0.active = nil }
            throw error
        }
    }

    private func cancelRun(_ reason: String) {
        let active = state.withLock { state in
            state.active?.running.isCancelled = true
            return state.active
        }
        active?.ending.set(reason)
    }

    private func wait(until: Timestamp?) async {
        tellState(next: until)
        guard let time = time.withLock({ $0 }) else { return }
        let next = time.read + configuration.clockInterval
        await changed.wait(until: min(next, until.map(time.instant) ?? next), clock: client.clock)
        noteStrikes()
    }

    /// Records the periods that start during a run, if the overlap policy queues them.
    private func noteStrikes() {
        let now = now
        guard configuration.overlap != .skip, let period = task.schedule.latest(at: now) else { return }
        state.withLock { state in
            state.queued.subtract(state.records.keys)
            if state.active != nil, state.records[period.id] == nil { state.queued.insert(period.id) }
        }
    }

    private func tellState(next: Timestamp?) {
        let state = state.withLock { $0 }
        if let active = state.active {
            return task.tell(.running(period: active.running.period, attempt: active.attempt))
        }
        if let asking = state.records.values.first(where: { $0.record.state == .awaitingOperator }) {
            return task.tell(.awaitingOperator(period: asking.record.period))
        }
        task.tell(state.wishes.pause.map { .paused($0) } ?? .waiting(next: next))
    }

    // MARK: Time

    /// The ensemble's time.
    var now: Timestamp { time.withLock { $0 }?.time(at: client.clock.now) ?? Timestamp(seconds: 0) }

    /// Reads the ensemble's clock if the last reading is older than a limit.
    ///
    /// - Returns: The age of the reading.
    @discardableResult
    private func readClock(ifOlderThan limit: Duration) async throws -> Duration {
        if let known = time.withLock({ $0 }) {
            let age = client.clock.now - known.read
            if age < limit { return age }
        }
        let fresh = try await clock.read()
        time.withLock { $0 = fresh }
        // A run in progress continues; this node only does not start the next one.
        if fresh.skew.exceeds(configuration.maximumClockSkew), state.withLock({ $0.active == nil }) {
            throw ClockSkewError(skew: fresh.skew)
        }
        return .zero
    }

    // MARK: Failure

    private let failed = OneShot<any Error>()

    /// Ends the term with an error.
    func fail(_ error: any Error) {
        failed.set(error)
        changed.signal()
    }

    private var failure: (any Error)? { failed.value }
}
