import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling

/// One leader after another, a clock and what the ensemble keeps, with no server: decisions are carried out as they are made.
final class PlanModel {
    let schedule: Schedule
    var delivery = TaskDelivery.atLeastOnce
    var configuration = ScheduledTask.Configuration()
    var node = "n1"
    var term: Int64 = 1
    var now: Timestamp
    var since: Timestamp
    var records: [String: RunRecord] = [:]
    var wishes = OperatorCommands()
    var running: SchedulePlan.Running?
    var queued: Set<String> = []
    /// What was written, in order.
    var written: [RunRecord] = []

    init(_ schedule: Schedule, at instant: String) throws {
        self.schedule = schedule
        now = try Timestamp(scheduleText: instant)
        since = now
    }

    /// Daily at 02:30 in New York.
    convenience init(at instant: String) throws {
        try self.init(Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York"), at: instant)
    }

    var plan: SchedulePlan {
        SchedulePlan(schedule: schedule, delivery: delivery, configuration: configuration, node: node)
    }

    var decision: SchedulePlan.Decision {
        plan.decide(
            SchedulePlan.Situation(
                now: now, term: FencingToken(rawValue: term), since: since, records: records, wishes: wishes,
                running: running, queued: queued))
    }

    func move(to instant: String) throws {
        now = try Timestamp(scheduleText: instant)
    }

    /// Carries a decision out; gives the run that begins.
    @discardableResult
    func step() -> RunRecord? {
        switch decision {
        case .claim(let record, let isOnTime, let wishes):
            write(record, wishes)
            running = SchedulePlan.Running(period: record.period, isOnTime: isOnTime)
            return record
        case .settle(let record, let wishes): write(record, wishes)
        case .wish(let wishes): self.wishes = wishes
        case .cancelRun: running?.isCancelled = true
        case .wait: break
        }
        return nil
    }

    /// Carries decisions out until there is nothing to do but wait.
    func settle() {
        for _ in 0..<1000 {
            if case .wait = decision { return }
            step()
        }
    }

    private func write(_ record: RunRecord, _ wishes: OperatorCommands?) {
        records[record.period] = RunRecord(record.bytes)
        written.append(record)
        if let wishes { self.wishes = OperatorCommands(wishes.bytes) }
    }

    /// The run that is on has come to a state.
    func end(_ state: RunRecord.State) {
        guard let running else { return }
        records[running.period]?.state = state
        records[running.period]?.endedAt = now
        self.running = nil
    }

    func begin() {
        guard let running else { return }
        records[running.period]?.state = .started
        records[running.period]?.startedAt = now
    }

    /// Another node leads; what was on in this one is not.
    func takeover(by node: String) {
        self.node = node
        term += 1
        running = nil
        queued = []
    }

    /// Takes away what a leader would delete.
    func prune(keep: Int) -> [RunRecord] {
        let stored = records.mapValues { Scheduler.Stored(record: $0, version: 0) }
        return stored.surplus(keep: keep).compactMap { records.removeValue(forKey: $0) }
    }

    var states: [String: RunRecord.State] { records.mapValues(\.state) }
}
