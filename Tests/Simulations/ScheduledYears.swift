import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperSimulator
import ZooKeeperTransport

/// Years of a daily schedule in a zone with daylight saving, in virtual time: five nodes with clocks of their own, a crash of
/// the runner in one run of five, and a sixth node whose clock is wrong.
///
/// Not a ``Scenario``: what strikes it are crashes only, and its sessions are as long as half a day.
package struct ScheduledYears: Sendable {
    package private(set) var failures: [String] = []
    /// How many local days there were.
    package private(set) var days = 0
    /// How often a runner crashed.
    package private(set) var crashes = 0
    /// How many days needed more than one attempt.
    package private(set) var repeated = 0
    /// How many records say that the clocks were changed.
    package private(set) var moved = 0
    package private(set) var steps = 0

    package init(seed: UInt64, years: Int) throws {
        let world = YearsWorld(seed: seed)
        for number in 1...5 { world.start("n\(number)", ahead: .seconds((number - 3) * 2)) }
        let simulation = world.simulation
        // Whose clock is an hour off never takes the schedule; it asks for the time every half minute, which is much.
        world.start("wrong", ahead: .seconds(3600))
        simulation.run(until: simulation.now + .seconds(86_400 / 8)) { world.failure == nil }
        world.stopLast()
        let end = simulation.now + .seconds(years * 366 * 86_400)
        simulation.run(until: end) { world.failure == nil }
        if let breakdown = simulation.breakdown { failures.append(breakdown) }
        if let failure = world.failure { failures.append(failure) }
        guard let since = world.since else { throw NeverBegun(years: years) }
        let settled = world.time - .seconds(4 * 86_400)
        let schedule = try YearsWorld.makeSchedule()
        for period in schedule.periods(after: since, through: settled) {
            days += 1
            let log = world.periods[period.id] ?? .init()
            if log.completions != 1 { failures.append("\(period) was completed \(log.completions) times") }
            if log.attempt > 1 { repeated += 1 }
            if log.explained != max(log.attempt - 1, 0) { failures.append("\(period) has attempts with no reason") }
            if log.remark { moved += 1 }
            if log.claimedByWrong { failures.append("\(period) was claimed by a clock that is wrong") }
        }
        (crashes, steps) = (world.crashes, simulation.steps)
        world.end()
    }
}

private final class YearsWorld {
    struct PeriodLog {
        var completions = 0
        var attempt = 0
        var explained = 0
        var remark = false
        var claimedByWrong = false
    }

    static func makeSchedule() throws -> ZooKeeperScheduling.Schedule {
        try .daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
    }

    /// 2016-01-01 in UTC.
    static let epoch = 1_451_606_400

    let simulation: Simulation
    let ensemble: SimulatedEnsemble
    var periods: [String: PeriodLog] = [:]
    var since: Timestamp?
    var crashes = 0
    var failure: String?
    private var processes: [SimulatedProcess] = []

    init(seed: UInt64) {
        simulation = Simulation(seed: seed)
        // Sessions of half a day, so that years are not all heartbeats.
        ensemble = SimulatedEnsemble(
            in: simulation, settings: EnsembleSettings(tick: .seconds(6 * 3600), epoch: Int64(Self.epoch) * 1000))
        ensemble.didCommit = { [unowned self] transaction in
            guard case .multi(let changes) = transaction.change else {
                if case .create(let creation) = transaction.change, creation.path == "/task/runs" { since = time }
                return
            }
            for case .setData(let path, let data?, _) in changes where path.hasPrefix("/task/runs/") {
                note(path, String(decoding: data, as: UTF8.self).split(separator: "\n"))
            }
        }
    }

    /// The ensemble's clock.
    var time: Timestamp {
        Timestamp(millisecondsSince1970: 0) + .seconds(Self.epoch) + .nanoseconds(simulation.now.nanoseconds)
    }

    private func note(_ path: String, _ lines: [Substring]) {
        func value(_ key: String) -> Substring? {
            lines.first { $0.hasPrefix(key + "=") }?.dropFirst(key.count + 1)
        }
        let period = String(path.dropFirst("/task/runs/".count))
        let attempt = value("attempt").flatMap { Int($0) } ?? 0
        if attempt < periods[period]?.attempt ?? 0 { failure = "\(period) went back to attempt \(attempt)" }
        periods[period, default: PeriodLog()].attempt = attempt
        if value("node") == "wrong" { periods[period]?.claimedByWrong = true }
        periods[period]?.remark = value("remark") != nil
        periods[period]?.explained = lines.count { $0.hasPrefix("attempt.") && !$0.hasSuffix("\t") }
        switch value("state") {
        case "completed": periods[period]?.completions += 1
        case "claimed", "started": break
        case let state: failure = "\(period) is \(state ?? "nothing"): \(value("explanation") ?? "")"
        }
    }

    /// Starts a node, in a process of its own.
    func start(_ name: String, ahead: Duration) {
        let rate = simulation.chance.pick([0.999, 1, 1.001])
        let process = SimulatedProcess("\(name).\(processes.count)", in: simulation, clockRate: rate)
        processes.append(process)
        do {
            var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "10.0.0.1", port: 2181)])
            configuration.sessionTimeout = .seconds(12 * 3600)
            let client = try process.makeClient(of: ensemble, configuration: configuration)
            let task = try makeTask(name, client, process, ahead: ahead)
            process.start { try? await client.running { _ in try await task.run() } }
        } catch {
            failure = "\(error)"
        }
    }

    private func makeTask(
        _ name: String, _ client: ZooKeeperClient, _ process: SimulatedProcess, ahead: Duration
    ) throws -> ScheduledTask {
        var configuration = ScheduledTask.Configuration()
        configuration.missed = .all(within: .seconds(30 * 86_400))
        configuration.clockInterval = .seconds(6 * 3600)
        configuration.maximumRecords = 20
        let (world, confined) = (Confined(self), Confined(process))
        return try ScheduledTask(
            client: client, path: "/task", id: name, name: "task", schedule: Self.makeSchedule(),
            delivery: .atLeastOnce, configuration: configuration, logger: client.logger,
            wallClock: { world.value.time + ahead },
            atStep: { step, _ in await world.value.mayCrash(confined, name: name, ahead: ahead, at: step) },
            body: { _ in
                let clock = SimulatedClock(confined.value)
                let span = world.value.simulation.chance.duration(.seconds(1) ... .seconds(3600))
                try await clock.sleep(until: clock.now + span)
            })
    }

    /// One run of five ends with its process, at any of its steps; another process is started within two days.
    private func mayCrash(
        _ process: Confined<SimulatedProcess>, name: String, ahead: Duration, at step: TaskStep
    ) async {
        // Of four steps, each with this chance.
        guard simulation.chance.below(1000) < 54 else { return }
        crashes += 1
        process.value.kill()
        let back = simulation.chance.duration(.seconds(60) ... .seconds(48 * 3600))
        simulation.after(back) { self.start(name, ahead: ahead) }
        // The dead do nothing.
        let clock = SimulatedClock(process.value)
        try? await clock.sleep(until: clock.now + .seconds(1))
    }

    /// Kills the node that was started last.
    func stopLast() {
        processes.last?.kill()
    }

    func end() {
        for process in processes { process.kill() }
        for process in processes { process.bury() }
        simulation.run(until: simulation.now + .seconds(60)) { self.processes.contains { $0.isRunning } }
    }
}

/// The task of simulated years never began.
private struct NeverBegun: Error, CustomStringConvertible {
    var years: Int

    var description: String { "the task never began in \(years) years" }
}
