internal import ZooKeeper
internal import ZooKeeperRecipes

/// The decisions of a scheduled task's leader, as a pure function of the time, the records and the operator commands.
///
/// Each decision is one write or a wait. After each one the leader asks for the next, with the changed state. A leader
/// that takes over in between therefore continues where the previous one stopped.
struct SchedulePlan: Sendable {
    /// A run that is in progress in this process.
    struct Running: Sendable, Hashable {
        var period: String
        /// Whether the run started on time for a period of the schedule; the overlap policy applies to such runs.
        var isOnTime: Bool
        /// Whether the run was cancelled.
        var isCancelled = false
    }

    /// The input of a decision.
    struct Situation: Sendable {
        /// The current time by the ensemble's clock.
        var now: Timestamp
        /// The fencing token of the current term.
        var term: FencingToken
        /// The time since when the schedule exists; earlier occurrences are not among its periods.
        var since: Timestamp
        var records: [String: RunRecord] = [:]
        var wishes = OperatorCommands()
        var running: Running?
        /// The periods that started during a run of this term.
        ///
        /// They are started afterwards, however late.
        var queued: Set<String> = []
    }

    /// The next action.
    enum Decision: Sendable, Hashable {
        /// Write the record, which claims the run, and start it.
        case claim(RunRecord, isOnTime: Bool, OperatorCommands?)
        /// Write the record, which starts nothing.
        case settle(RunRecord, OperatorCommands?)
        /// Write the remaining operator commands.
        case wish(OperatorCommands)
        /// Cancel the run in progress.
        case cancelRun(because: String)
        /// Wait until an instant, or until something changes.
        case wait(until: Timestamp?)
    }

    let schedule: Schedule
    let delivery: TaskDelivery
    let configuration: ScheduledTask.Configuration
    /// This node's participant ID.
    let node: String

    func decide(_ situation: Situation) -> Decision {
        let decision =
            situation.running.map { duringRun($0, situation) } ?? takeover(situation)
            ?? operatorsRun(situation) ?? strike(situation) ?? backfill(situation)
        return decision ?? .wait(until: nextStrike(after: situation.now))
    }

    private func nextStrike(after now: Timestamp) -> Timestamp? { schedule.next(after: now)?.start }

    // MARK: During a run

    private func duringRun(_ running: Running, _ situation: Situation) -> Decision {
        let wait = Decision.wait(until: nextStrike(after: situation.now))
        guard !running.isCancelled, let struck = newest(in: situation) else { return wait }
        switch configuration.overlap {
        case .cancelOther: return .cancelRun(because: "\(struck.id) began")
        case _ where !running.isOnTime: return wait
        case .skip: return .settle(skipped(struck, "the run of \(running.period) was still on", situation), nil)
        case .queueOne:
            guard let older = newest(in: situation, before: struck) else { return wait }
            return .settle(
                skipped(older, "the run of \(running.period) was still on, and \(struck.id) is queued", situation), nil)
        }
    }

    // MARK: Runs of other nodes

    /// Returns the decision about the oldest run that has not ended and is not in progress in this process.
    private func takeover(_ situation: Situation) -> Decision? {
        let open = situation.records.values.filter(\.state.isOpen)
        guard let record = open.min(by: { ($0.start, $0.period) < ($1.start, $1.period) }) else { return nil }
        if record.kind == .term { return .settle(abandoned(record, "its term was over", situation), nil) }
        if record.state == .awaitingOperator { return answer(record, situation) }
        guard situation.wishes.pause == nil else {
            return pausedStrike(situation) ?? .wait(until: nextStrike(after: situation.now))
        }
        if record.state == .claimed {
            return .claim(
                again(record, "\(record.participantID) claimed the run and did not start it", situation),
                isOnTime: false,
                nil)
        }
        let reason = record.message ?? "\(record.participantID) started the run and did not complete it"
        switch configuration.takeover(delivery) {
        case .rerun: return .claim(again(record, reason, situation), isOnTime: false, nil)
        case .resume: return .claim(again(record, reason, situation, resumes: true), isOnTime: false, nil)
        case .skip: return .settle(abandoned(record, reason, situation), nil)
        case .askOperator:
            var asking = record
            asking.state = .awaitingOperator
            asking.message = reason
            return .settle(asking, nil)
        }
    }

    private func answer(_ record: RunRecord, _ situation: Situation) -> Decision {
        guard let answer = situation.wishes.decisions[record.period] else {
            return pausedStrike(situation) ?? .wait(until: nextStrike(after: situation.now))
        }
        var wishes = situation.wishes
        wishes.decisions[record.period] = nil
        let id = wishes.decisionOperators.removeValue(forKey: record.period).map { " (\($0))" } ?? ""
        let reason = "\(record.message ?? ""); an operator decided to \(answer.rawValue)\(id)"
        switch answer {
        case .rerun: return .claim(again(record, reason, situation), isOnTime: false, wishes)
        case .resume: return .claim(again(record, reason, situation, resumes: true), isOnTime: false, wishes)
        case .skip: return .settle(abandoned(record, reason, situation), wishes)
        }
    }

    // MARK: Runs requested by operators

    private func operatorsRun(_ situation: Situation) -> Decision? {
        guard situation.wishes.pause == nil, let by = situation.wishes.runRequests.first else { return nil }
        var wishes = situation.wishes
        wishes.runRequests.removeFirst()
        let period = Schedule.Period(
            id: situation.now.millisecondsText + "-now", start: situation.now, end: nil,
            note: by.isEmpty ? nil : "requested by \(by)")
        return .claim(first(period, .requested, situation), isOnTime: false, wishes)
    }

    private func backfill(_ situation: Situation) -> Decision? {
        guard situation.wishes.pause == nil, let wanted = situation.wishes.backfill else { return nil }
        var wishes = situation.wishes
        var last = wanted.from - .milliseconds(1)
        while let period = schedule.next(after: last), period.start <= min(wanted.through, situation.now) {
            last = period.start
            let record = situation.records[period.id]
            guard record?.state != .completed else { continue }
            // The rest of the range starts after this period, whichever node continues.
            wishes.backfill?.from = period.start + .seconds(1)
            let reason = "an operator wants it again"
            let claim = record.map { again($0, "\($0.message ?? $0.state.rawValue); \(reason)", situation) }
            return .claim(claim ?? first(period, .backfill, situation), isOnTime: false, wishes)
        }
        wishes.backfill = nil
        return .wish(wishes)
    }

    // MARK: Periods that have started

    /// Returns the decision about started periods without a decision.
    private func strike(_ situation: Situation) -> Decision? {
        if schedule.isWithLeadership { return termRun(situation) }
        if let decision = pausedStrike(situation) { return decision }
        guard situation.wishes.pause == nil, let newest = newest(in: situation) else { return nil }
        let limit = situation.now - configuration.missedAfter
        let isQueued = situation.queued.contains(newest.id)
        let isOnTime = newest.start > limit || isQueued
        if let decision = missed(before: newest, isOnTime: isOnTime, situation) { return decision }
        if let by = situation.wishes.skipRequests.first, isOnTime {
            var wishes = situation.wishes
            wishes.skipRequests.removeFirst()
            let whom = by.isEmpty ? "an operator" : by
            return .settle(skipped(newest, "\(whom) asked to leave it out", situation), wishes)
        }
        var claim = first(newest, .scheduled, situation)
        if !isOnTime { claim.message = "missed, and caught up" }
        return .claim(claim, isOnTime: isOnTime, nil)
    }

    /// Returns the decision about missed periods, the oldest first.
    private func missed(before newest: Schedule.Period, isOnTime: Bool, _ situation: Situation) -> Decision? {
        guard case .all(let span) = configuration.missed.kind else {
            if let older = self.newest(in: situation, before: newest) { return leaveOut(older, situation) }
            return isOnTime || configuration.missed == .latest ? nil : leaveOut(newest, situation)
        }
        let limit = situation.now - span
        if let older = schedule.latest(at: limit), isUndecided(older, situation) { return leaveOut(older, situation) }
        var last = max(limit, watermark(situation))
        while let period = schedule.next(after: last), period.start < newest.start {
            if isUndecided(period, situation) {
                var claim = first(period, .scheduled, situation)
                claim.message = "missed, and caught up"
                return .claim(claim, isOnTime: false, nil)
            }
            last = period.start
        }
        return nil
    }

    private func leaveOut(_ period: Schedule.Period, _ situation: Situation) -> Decision {
        let why = situation.queued.contains(period.id) ? "a run was still on" : "missed"
        return .settle(skipped(period, why, situation), nil)
    }

    /// Returns the decision about occurrences during a pause: they are skipped.
    private func pausedStrike(_ situation: Situation) -> Decision? {
        guard let pause = situation.wishes.pause, let newest = newest(in: situation) else { return nil }
        let by = pause.requestedBy.isEmpty ? "" : " by \(pause.requestedBy)"
        return .settle(skipped(newest, "paused\(by): \(pause.reason)", situation), nil)
    }

    private func termRun(_ situation: Situation) -> Decision? {
        guard situation.wishes.pause == nil,
            !situation.records.values.contains(where: { $0.kind == .term && $0.term == situation.term })
        else { return nil }
        let period = Schedule.Period(
            id: situation.now.millisecondsText + "-term", start: situation.now, end: nil, note: nil)
        return .claim(first(period, .term, situation), isOnTime: true, nil)
    }

    /// Returns the last started period if there is no decision about it.
    private func newest(in situation: Situation) -> Schedule.Period? {
        schedule.latest(at: situation.now).flatMap { isUndecided($0, situation) ? $0 : nil }
    }

    /// Returns the last period before another one if there is no decision about it.
    private func newest(in situation: Situation, before period: Schedule.Period) -> Schedule.Period? {
        schedule.latest(at: period.start - .milliseconds(1)).flatMap { isUndecided($0, situation) ? $0 : nil }
    }

    private func isUndecided(_ period: Schedule.Period, _ situation: Situation) -> Bool {
        period.start > watermark(situation) && situation.records[period.id] == nil
    }

    /// Returns the start of the last decided period; all earlier periods are decided, too.
    private func watermark(_ situation: Situation) -> Timestamp {
        let last = situation.records.values.lazy.filter(\.isWatermark).map(\.start).max()
        return last.map { max($0, situation.since) } ?? situation.since
    }
}

// The creation of records, and of their successors.
extension SchedulePlan {
    private func first(
        _ period: Schedule.Period, _ kind: RunRecord.Kind, _ situation: Situation
    ) -> RunRecord {
        var record = RunRecord(period, kind: kind, state: .claimed, participantID: node, term: situation.term)
        record.attempt = 1
        record.claimedAt = situation.now
        return record
    }

    private func again(
        _ record: RunRecord, _ reason: String, _ situation: Situation, resumes: Bool = false
    ) -> RunRecord {
        var next = record
        next.previousAttempts.append(
            RunRecord.Attempt(
                number: record.attempt, participantID: record.participantID, token: record.token, reason: reason))
        next.state = .claimed
        (next.participantID, next.term, next.token) = (node, situation.term, nil)
        next.attempt += 1
        (next.claimedAt, next.startedAt, next.endedAt) = (situation.now, nil, nil)
        (next.message, next.window) = (nil, nil)
        if !resumes { next.checkpoint = nil }
        return next
    }

    /// Returns the record of a skipped period, which also covers all undecided periods before it.
    private func skipped(_ period: Schedule.Period, _ why: String, _ situation: Situation) -> RunRecord {
        var record = RunRecord(period, kind: .scheduled, state: .skipped, participantID: node, term: situation.term)
        record.endedAt = situation.now
        let first = schedule.next(after: watermark(situation)).flatMap { $0.start < period.start ? $0.id : nil }
        record.firstSkippedPeriod = first
        record.message = why + (first.map { ", as were those from \($0) on" } ?? "")
        return record
    }

    private func abandoned(_ record: RunRecord, _ why: String, _ situation: Situation) -> RunRecord {
        var record = record
        record.state = .abandoned
        record.endedAt = situation.now
        record.message = why
        return record
    }
}

extension Duration {
    /// The duration in seconds.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
