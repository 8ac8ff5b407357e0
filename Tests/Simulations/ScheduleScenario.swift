import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperSimulator

/// Nodes that run one task every two seconds, through every fault: each period is done once, or its record says why not.
package struct ScheduleScenario: Scenario {
    package static let name = "schedule"
    static let path = "/app/task"
    static let interval = 2

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let policies = SchedulePolicies(&world.simulation.chance)
        let log = ScheduleLog(world, policies: policies)
        world.deletable = ["\(Self.path)/leader", "\(Self.path)/leader-requests"]
        for number in 1...(2 + world.simulation.chance.below(3)) {
            world.add("n\(number)") { participant in
                await ScheduleNode(participant: participant, log: log, policies: policies).main()
            }
        }
        let rest = world.profile.sessionTimeout * 6 + .seconds(90)
        world.run(faultsFor: world.profile.trouble, rest: rest)
        let mended = log.wallClock
        let limit = world.simulation.now + rest
        world.simulation.run(until: limit) { !log.unsettled(before: mended).isEmpty }
        let unsettled = log.unsettled(before: mended)
        world.stop()
        return log.failures() + unsettled.map { "\($0) has come to no end" }
    }
}

/// How the task of one world is declared.
struct SchedulePolicies: Sendable {
    var delivery: TaskDelivery
    var configuration = ScheduledTask.Configuration()
    /// The longest that a run takes.
    var longest: Duration

    init(_ chance: inout Chance) {
        delivery = chance.pick([.atLeastOnce, .atLeastOnce, .atMostOnce])
        configuration.takeover =
            delivery == .atMostOnce ? .skip : chance.pick([nil, TakeoverPolicy.rerun, .resume, .skip])
        configuration.missedAfter = chance.pick([.seconds(3), .seconds(60)])
        configuration.missed = .all(within: .seconds(3600))
        configuration.overlap = chance.pick([.skip, .queueOne, .cancelOther])
        configuration.clockInterval = chance.pick([.seconds(2), .seconds(30)])
        configuration.maximumRecords = chance.pick([5, 1000])
        configuration.leadership.initialRetryDelay = .milliseconds(20)
        configuration.leadership.maximumRetryDelay = .seconds(1)
        longest = chance.pick([.milliseconds(300), .seconds(3)])
    }
}

/// What the ensemble's records said, commit by commit.
struct ScheduleLog: Sendable {
    private let state: Confined<State>

    private struct Claim {
        var node: String
        var period: String
        var token: Int64
        var candidate: String?
    }

    private final class State {
        unowned let world: ScenarioWorld
        let policies: SchedulePolicies
        let history = History<PeriodAction>()
        var candidates: [Int64: String] = [:]
        var open: [Claim] = []
        /// The last word of each period.
        var states: [String: String] = [:]
        /// Periods that a record leaves out, the first and the last, which is the record's own.
        var leftOut: [(first: String, last: String)] = []
        var begun: [String: Int] = [:]
        var since: Timestamp?
        var failures: [String] = []

        init(_ world: ScenarioWorld, _ policies: SchedulePolicies) {
            self.world = world
            self.policies = policies
        }

        func record(_ action: PeriodAction, by node: String) {
            history.record(action, by: node, at: world.simulation.now)
        }
    }

    init(_ world: ScenarioWorld, policies: SchedulePolicies) {
        let log = State(world, policies)
        state = Confined(log)
        world.observe { transaction in
            switch transaction.change {
            case .multi(let changes): for change in changes { Self.note(change, transaction, log) }
            default: Self.note(transaction.change, transaction, log)
            }
        }
        world.willDie = { process in log.record(.crashed, by: process.name) }
    }

    private static func note(_ change: TreeChange, _ transaction: Transaction, _ log: State) {
        switch change {
        case .create(let creation) where creation.path == ScheduleScenario.path + "/runs":
            log.since = Timestamp(millisecondsSince1970: transaction.time)
        case .setData(let path, let data?, _):
            let text = fields(data)
            if path == ScheduleScenario.path + "/leader-epoch" {
                log.candidates[transaction.zxid] = text["candidate"]
            } else if path.hasPrefix(ScheduleScenario.path + "/runs/") {
                note(String(path.split(separator: "/").last ?? ""), text, transaction.zxid, log)
            }
        case .delete(let path): gone([path], log)
        case .closeSession(let paths): gone(paths, log)
        default: break
        }
    }

    private static func note(_ period: String, _ text: [String: String], _ zxid: Int64, _ log: State) {
        let (node, token) = (text["node"] ?? "", Int64(text["token"] ?? "") ?? 0)
        let state = text["state"] ?? ""
        if log.states[period] == "completed", state != "completed" {
            log.failures.append("\(node) made \(period) \(state), completed as it was")
        }
        log.states[period] = state
        switch state {
        case "claimed":
            let candidate = Int64(text["term"] ?? "").flatMap { log.candidates[$0] }
            if candidate == nil { log.failures.append("\(node) claimed \(period) in no term that is known") }
            log.open.append(Claim(node: node, period: period, token: zxid, candidate: candidate))
            log.record(.claimed(period: period, token: zxid), by: node)
        case "completed":
            log.open.removeAll { $0.period == period }
            log.record(.completed(period: period, token: token), by: node)
        case "interrupted": log.record(.lost(period: period, token: token), by: node)
        case "skipped", "abandoned":
            log.record(.skipped(period: period, reason: text["explanation"] ?? ""), by: node)
            if let first = text["from"] { log.leftOut.append((first, period)) }
            if (text["explanation"] ?? "").isEmpty { log.failures.append("\(period) is \(state) with no explanation") }
        case "failed": log.failures.append("\(period) failed: \(text["explanation"] ?? "")")
        default: break
        }
    }

    /// Who claimed something in the term of a candidate that has gone can do nothing about it any more.
    private static func gone(_ paths: [String], _ log: State) {
        let names = Set(
            paths.filter { $0.hasPrefix(ScheduleScenario.path + "/leader/") }.map {
                $0.split(separator: "/").last.map(String.init)
            })
        for claim in log.open where names.contains(claim.candidate) {
            log.record(.lost(period: claim.period, token: claim.token), by: claim.node)
        }
        log.open.removeAll { names.contains($0.candidate) }
    }

    private static func fields(_ data: [UInt8]) -> [String: String] {
        var fields: [String: String] = [:]
        for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { fields[String(parts[0])] = String(parts[1]) }
        }
        return fields
    }

    /// The ensemble's clock.
    var wallClock: Timestamp {
        Timestamp(millisecondsSince1970: 1_750_000_000_000) + .nanoseconds(state.value.world.simulation.now.nanoseconds)
    }

    /// The task was begun.
    func began(_ run: ScheduledRun, by participant: Participant) {
        guard participant.isAlive else { return }
        state.value.begun[run.period.id, default: 0] += 1
    }

    /// The periods that began before an instant and have come to no end.
    func unsettled(before instant: Timestamp) -> [String] {
        guard let since = state.value.since,
            let schedule = try? ZooKeeperScheduling.Schedule.every(.seconds(ScheduleScenario.interval))
        else { return ["the task"] }
        let ends: Set<String?> = ["completed", "failed", "skipped", "abandoned"]
        // The names of periods sort as their beginnings.
        return schedule.periods(after: since, through: instant).map(\.id).filter { period in
            !ends.contains(state.value.states[period])
                && !state.value.leftOut.contains { ZNodeName($0.first)...ZNodeName($0.last) ~= ZNodeName(period) }
        }
    }

    func failures() -> [String] {
        let log = state.value
        let completed = log.states.filter { $0.value == "completed" }.keys.sorted()
        let violations = OncePerPeriodChecker(periods: completed).violations(in: log.history.entries)
        var failures = violations.map(\.description) + log.failures
        if log.policies.delivery == .atMostOnce {
            failures += log.begun.filter { $0.value > 1 }.keys.sorted().map {
                "\($0) was begun twice, at most once as it is"
            }
        }
        return failures
    }
}

/// One process that runs the task all the time, and leaves now and then.
private struct ScheduleNode: Sendable {
    let participant: Participant
    let log: ScheduleLog
    let policies: SchedulePolicies

    func main() async {
        let ahead = Duration.milliseconds(participant.chance { $0.below(6001) - 3000 })
        await participant.withClient { client in
            while !Task.isCancelled {
                let task = try ScheduledTask(
                    client: client, path: ScheduleScenario.path, id: participant.name, name: "task",
                    schedule: .every(.seconds(ScheduleScenario.interval)), delivery: policies.delivery,
                    configuration: policies.configuration, logger: client.logger,
                    wallClock: { [participant] in
                        // Set by a time service, however fast the node counts spans of time.
                        Timestamp(millisecondsSince1970: 1_750_000_000_000) + ahead
                            + .nanoseconds(participant.now.nanoseconds)
                    }, body: perform)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await task.run() }
                    group.addTask { try await participant.pause(.seconds(3) ... .seconds(12)) }
                    group.addTask { await noteStandby(task.states) }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
        }
    }

    /// Who stands in the queue gets on, also when its turn does not come before it leaves.
    private func noteStandby(_ states: AsyncStream<ScheduledTaskState>) async {
        for await state in states {
            if case .standby(.some) = state { participant.progress() }
        }
    }

    private func perform(_ run: ScheduledRun) async throws {
        log.began(run, by: participant)
        participant.progress()
        for step in 0..<participant.chance({ $0.below(3) }) {
            switch participant.chance({ $0.below(8) }) {
            case 0: await participant.stubbornPause(.zero...policies.longest)
            case 1, 2:
                do { try await run.checkpoint("\(step)") } catch { if !isExpected(error) { throw error } }
            default: try await participant.pause(.zero...policies.longest)
            }
        }
    }

    private func isExpected(_ error: any Error) -> Bool {
        guard let error = error as? RecipeError else { return false }
        return error.code == .lost || error.code == .notRunning
    }
}
