import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Those who enter and leave one double barrier in rounds, with and without patience; through every fault.
package struct BarrierScenario: Scenario {
    package static let name = "barrier"
    static let path = "/jobs/phase"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let count = 2 + world.simulation.chance.below(3)
        let log = BarrierLog(world, participants: count)
        let isPatient = world.simulation.chance.oneIn(2)
        for number in 1...count {
            world.add("p\(number)") { participant in
                await BarrierUser(participant: participant, log: log, count: count, isPatient: isPatient).main()
            }
        }
        // In each round everybody passes, or nobody does.
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(40))
        world.stop()
        let left = world.ensemble.children(of: Self.path).sorted().filter { $0 != "ready" }
        return log.failures() + left.map { "left behind: \($0)" }
    }
}

/// Who entered, passed and left, and how many stood at each instant.
struct BarrierLog: Sendable {
    private let state: Confined<State>

    private final class State {
        let participants: Int
        var standing: Set<String> = []
        /// The last instant at which enough stood.
        var lastFull: MonotonicInstant?
        /// Since when each process that takes part has done so.
        var begun: [String: MonotonicInstant] = [:]
        /// The process of each session.
        var processes: [Int64: String] = [:]
        /// Of each `ready`: when it was written, and since when its writer had taken part.
        var openings: [(at: MonotonicInstant, since: MonotonicInstant)] = []
        var failures: [String] = []

        init(participants: Int) { self.participants = participants }

        func follow(_ change: TreeChange, by session: Int64, at now: MonotonicInstant) {
            switch change {
            case .create(let creation): created(creation.path, by: session, at: now)
            case .setData(BarrierScenario.path + "/ready", _, _): opened(by: session, at: now)
            case .delete(let path): removed([path], at: now)
            case .closeSession(let paths): removed(paths, at: now)
            case .multi(let changes): for change in changes { follow(change, by: session, at: now) }
            default: break
            }
        }

        private func created(_ path: String, by session: Int64, at now: MonotonicInstant) {
            guard path.hasPrefix(BarrierScenario.path + "/") else { return }
            if path == BarrierScenario.path + "/ready" { return opened(by: session, at: now) }
            standing.insert(path)
            if standing.count >= participants { lastFull = now }
        }

        private func opened(by session: Int64, at now: MonotonicInstant) {
            guard let writer = processes[session], let since = begun[writer] else { return }
            openings.append((now, since))
        }

        private func removed(_ paths: [String], at now: MonotonicInstant) {
            if standing.count >= participants { lastFull = now }
            standing.subtract(paths)
        }

        /// Whether enough stood at some instant since another.
        func wasFull(since start: MonotonicInstant) -> Bool {
            standing.count >= participants || lastFull.map { $0 >= start } ?? false
        }
    }

    init(_ world: ScenarioWorld, participants: Int) {
        let log = State(participants: participants)
        state = Confined(log)
        world.observe { [unowned world] transaction in
            log.follow(transaction.change, by: transaction.session, at: world.simulation.now)
        }
        world.willDie = { process in log.begun[process.name] = nil }
    }

    func joined(_ session: SessionID?, by participant: Participant) {
        if let session { state.value.processes[session.rawValue] = participant.name }
    }

    func begins(_ participant: Participant) {
        if participant.isAlive { state.value.begun[participant.name] = participant.now }
    }

    /// The participant was let through: enough stood since it came, or since somebody came who opened for it meanwhile.
    func passes(_ participant: Participant) {
        guard participant.isAlive, let since = state.value.begun[participant.name] else { return }
        participant.note("passes")
        let starts = state.value.openings.filter { $0.at >= since }.map(\.since)
        let earliest = min(since, starts.min() ?? since)
        guard !state.value.wasFull(since: earliest) else { return }
        let standing = state.value.standing.count
        state.value.failures.append(
            "\(participant.name) passes with \(standing) of \(state.value.participants), at \(participant.now - MonotonicInstant(nanoseconds: 0))"
        )
    }

    func ends(_ participant: Participant) {
        if participant.isAlive { state.value.begun[participant.name] = nil }
    }

    func failures() -> [String] { state.value.failures }
}

/// A process that takes part in round after round.
private struct BarrierUser: Sendable {
    let participant: Participant
    let log: BarrierLog
    let count: Int
    /// Nobody in this world ever loses patience.
    let isPatient: Bool

    func main() async {
        await participant.withClient { client in
            let barrier = try DoubleBarrier(client: client, path: BarrierScenario.path, participants: count)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await state in client.states { log.joined(state.session?.id, by: participant) }
                }
                defer { group.cancelAll() }
                while !Task.isCancelled {
                    do { try await takePart(barrier) } catch { participant.judge(error) }
                    log.ends(participant)
                    try await participant.pause(.zero ... .milliseconds(300))
                }
            }
        }
    }

    private func takePart(_ barrier: DoubleBarrier) async throws {
        let losesPatience = !isPatient && participant.chance { $0.oneIn(4) }
        let patience = losesPatience ? participant.chance { $0.duration(.milliseconds(1) ... .seconds(5)) } : nil
        log.begins(participant)
        try await barrier.withBarrier(waitingAtMost: patience, leavingAtMost: patience) {
            log.passes(participant)
            participant.progress()
            try await participant.pause(.zero ... .milliseconds(300))
        }
    }
}
