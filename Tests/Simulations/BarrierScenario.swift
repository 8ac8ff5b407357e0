import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Those who enter and leave one double barrier in rounds, with and without patience, while sessions expire and other
/// children exist below the barrier; through every fault.
package struct BarrierScenario: Scenario {
    package static let name = "barrier"
    static let path = "/jobs/phase"
    /// Children that are no participants: a subdirectory, and a persistent znode.
    static let foreign = ["archive", "owner"]

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let count = 2 + world.simulation.chance.below(3)
        let log = BarrierLog(world, participants: count)
        let habits = BarrierUser.Habits(
            losesPatience: world.simulation.chance.oneIn(2),
            longestOperation: world.simulation.chance.pick([.milliseconds(300), world.profile.sessionTimeout * 2]),
            bringsOthers: world.simulation.chance.oneIn(3))
        for number in 1...count {
            world.add("p\(number)") { participant in
                await BarrierUser(participant: participant, log: log, count: count, habits: habits).main()
            }
        }
        if world.simulation.chance.oneIn(2) {
            isolateLater(in: world, until: world.simulation.now + world.profile.trouble)
        }
        // In each round everybody passes, or nobody does.
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 12 + .seconds(40))
        world.stop()
        let left = world.ensemble.children(of: Self.path).sorted().filter {
            $0 != "ready" && !Self.foreign.contains($0)
        }
        return log.failures() + left.map { "left behind: \($0)" }
    }

    /// Participants lose their sessions now and then, whatever they are doing, because they reach no server for so long.
    private func isolateLater(in world: ScenarioWorld, until end: MonotonicInstant) {
        let next = world.simulation.now + world.simulation.chance.duration(.milliseconds(200) ... .seconds(3))
        guard next < end else { return }
        world.simulation.at(next) {
            let process = world.simulation.chance.pick(world.members).process
            process.cutOff(silently: world.simulation.chance.oneIn(2))
            let timeout = world.profile.sessionTimeout
            world.simulation.after(world.simulation.chance.duration(timeout...timeout * 2)) { process.reconnect() }
            isolateLater(in: world, until: end)
        }
    }
}

/// Who entered, passed and left, and how many stood at each instant.
struct BarrierLog: Sendable {
    private let state: Confined<State>

    /// A participant whose operation runs.
    private struct Stay {
        var session: Int64
        var since: MonotonicInstant
    }

    private final class State {
        let participants: Int
        var standing: Set<String> = []
        /// The last instant at which enough stood.
        var lastFull: MonotonicInstant?
        /// Since when each process that takes part has done so.
        var begun: [String: MonotonicInstant] = [:]
        /// Whose operation runs, while its session lives.
        var inside: [String: Stay] = [:]
        /// The process of each session.
        var processes: [Int64: String] = [:]
        var endedSessions: Set<Int64> = []
        /// Of each `ready`: when it was written, and since when its writer had taken part.
        var openings: [(at: MonotonicInstant, since: MonotonicInstant)] = []
        var failures: [String] = []

        init(participants: Int) { self.participants = participants }

        func follow(_ change: TreeChange, by session: Int64, at now: MonotonicInstant) {
            switch change {
            case .create(let creation): created(creation, by: session, at: now)
            case .setData(BarrierScenario.path + "/ready", _, _): opened(by: session, at: now)
            case .delete(let path): removed([path], at: now)
            case .closeSession(let paths):
                removed(paths, at: now)
                ended(session)
            case .multi(let changes): for change in changes { follow(change, by: session, at: now) }
            default: break
            }
        }

        private func created(_ creation: Creation, by session: Int64, at now: MonotonicInstant) {
            guard creation.path.hasPrefix(BarrierScenario.path + "/") else { return }
            if creation.path == BarrierScenario.path + "/ready" { return opened(by: session, at: now) }
            guard creation.owner != 0 else { return }
            standing.insert(creation.path)
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

        /// Whoever has lost its session is out of its round.
        private func ended(_ session: Int64) {
            endedSessions.insert(session)
            inside = inside.filter { $0.value.session != session }
        }

        /// Whether enough stood at some instant since another.
        func wasFull(since start: MonotonicInstant) -> Bool {
            standing.count >= participants || lastFull.map { $0 >= start } ?? false
        }

        /// Those who are inside a round that had begun before an instant.
        func insideEarlierRounds(than entered: MonotonicInstant) -> [String] {
            inside.filter { $0.value.since < entered }.keys.sorted()
        }
    }

    init(_ world: ScenarioWorld, participants: Int) {
        let log = State(participants: participants)
        state = Confined(log)
        world.observe { [unowned world] transaction in
            log.follow(transaction.change, by: transaction.session, at: world.simulation.now)
        }
        world.willDie = { process in
            log.begun[process.name] = nil
            log.inside[process.name] = nil
        }
    }

    func joined(_ session: SessionID?, by participant: Participant) {
        if let session { state.value.processes[session.rawValue] = participant.name }
    }

    func begins(_ participant: Participant) {
        if participant.isAlive { state.value.begun[participant.name] = participant.now }
    }

    /// The participant was let through: enough stood since it came, or since somebody came who opened for it meanwhile; and
    /// nobody is still inside a round that had begun before it came.
    func passes(_ participant: Participant, in session: SessionID?) {
        guard participant.isAlive, let since = state.value.begun[participant.name] else { return }
        participant.note("passes")
        let starts = state.value.openings.filter { $0.at >= since }.map(\.since)
        let earliest = min(since, starts.min() ?? since)
        if !state.value.wasFull(since: earliest) {
            fail(participant, "passes with \(state.value.standing.count) of \(state.value.participants)")
        }
        let others = state.value.insideEarlierRounds(than: since)
        if !others.isEmpty { fail(participant, "passes while \(others) are inside an earlier round") }
        guard let session, !state.value.endedSessions.contains(session.rawValue) else { return }
        state.value.inside[participant.name] = Stay(session: session.rawValue, since: participant.now)
    }

    /// The participant's operation has ended.
    func finishes(_ participant: Participant) {
        if participant.isAlive { state.value.inside[participant.name] = nil }
    }

    func ends(_ participant: Participant) {
        if participant.isAlive { state.value.begun[participant.name] = nil }
    }

    func fail(_ participant: Participant, _ text: String) {
        let time = participant.now - MonotonicInstant(nanoseconds: 0)
        state.value.failures.append("\(participant.name) \(text), at \(time)")
    }

    func failures() -> [String] { state.value.failures }
}

/// A process that takes part in round after round.
private struct BarrierUser: Sendable {
    /// What is the same for all participants of a world.
    struct Habits: Sendable {
        /// Somebody gives up now and then, while it enters or while it leaves, and comes again.
        var losesPatience: Bool
        /// The longest time that an operation takes.
        var longestOperation: Duration
        /// Other znodes are created below the barrier.
        var bringsOthers: Bool
    }

    let participant: Participant
    let log: BarrierLog
    let count: Int
    let habits: Habits

    func main() async {
        await participant.withClient { client in
            let barrier = try DistributedDoubleBarrier(
                client: client, path: BarrierScenario.path, participantCount: count)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await state in client.states { log.joined(state.session?.id, by: participant) }
                }
                defer { group.cancelAll() }
                while !Task.isCancelled {
                    do {
                        if habits.bringsOthers { try await createOthers(client) }
                        try await takePart(barrier, client)
                    } catch {
                        participant.judge(error)
                    }
                    log.ends(participant)
                    try await participant.pause(.zero ... .milliseconds(300))
                }
            }
        }
    }

    private func createOthers(_ client: ZooKeeperClient) async throws {
        for name in BarrierScenario.foreign {
            do {
                try await client.create("\(BarrierScenario.path)/\(name)", parents: true)
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                continue
            }
        }
    }

    private func takePart(_ barrier: DistributedDoubleBarrier, _ client: ZooKeeperClient) async throws {
        let patience = patience(upTo: .seconds(5))
        let leaveTimeout = patience == nil ? self.patience(upTo: .seconds(1)) : patience
        log.begins(participant)
        let (passed, finished) = try await barrier.withBarrier(
            timeout: patience, leaveTimeout: leaveTimeout
        ) {
            let session = client.session?.id
            log.passes(participant, in: session)
            defer { log.finishes(participant) }
            participant.progress()
            try await participant.pause(.zero...habits.longestOperation)
            return (session, client.session?.id)
        }
        if passed != finished { log.fail(participant, "left as usual, although its session had ended inside") }
    }

    private func patience(upTo longest: Duration) -> Duration? {
        guard habits.losesPatience, participant.chance({ $0.oneIn(4) }) else { return nil }
        return participant.chance { $0.duration(.milliseconds(1)...longest) }
    }
}
