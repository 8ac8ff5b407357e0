import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Those who follow an election without taking part, and who really stood in front of its queue.
///
/// Nobody may be told a leader that never was one, and the last one must be told.
struct LeaderFollowers: Sendable {
    private let state: Confined<State>
    private let election: String

    private final class State {
        /// The candidates that stand, with their creation.
        var standing: [ContenderName: Int64] = [:]
        var front: ContenderName?
        /// Everybody who ever stood in front.
        var leaders: Set<String> = []
        /// What was told last; `nil` inside for nobody.
        var told: String??
        var failures: [String] = []

        func follow(_ change: TreeChange, _ zxid: Int64, in directory: String) {
            switch change {
            case .create(let creation):
                if let name = Self.candidate(creation.path, in: directory) { standing[name] = zxid }
            case .delete(let path): remove(path, in: directory)
            case .closeSession(let paths): for path in paths { remove(path, in: directory) }
            case .multi(let changes): for change in changes { follow(change, zxid, in: directory) }
            default: break
            }
        }

        private func remove(_ path: String, in directory: String) {
            if let name = Self.candidate(path, in: directory) { standing[name] = nil }
        }

        private static func candidate(_ path: String, in directory: String) -> ContenderName? {
            guard path.hasPrefix(directory + "/") else { return nil }
            return ContenderName(String(path.dropFirst(directory.count + 1)))
        }

        func elect() {
            front = standing.min { ($0.key.number, $0.value) < ($1.key.number, $1.value) }?.key
            if let front { leaders.insert(front.string) }
        }
    }

    init(_ world: ScenarioWorld, election: String) {
        let state = State()
        self.state = Confined(state)
        self.election = election
        world.observe { transaction in
            state.follow(transaction.change, transaction.zxid, in: election)
            state.elect()
        }
    }

    /// What a process does that follows the election.
    func follow(as participant: Participant) async {
        await participant.withClient { client in
            for try await leader in LeaderSelector.leaderChanges(client: client, path: election) {
                tell(leader, to: participant)
            }
        }
    }

    private func tell(_ leader: ElectionParticipant?, to participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("told that \(leader.map { "\($0) leads by \($0.znode)" } ?? "nobody leads")")
        participant.progress()
        state.value.told = .some(leader?.znode)
        if let leader, !state.value.leaders.contains(leader.znode) {
            participant.fail("told that \(leader.znode) leads, which never did")
        }
    }

    /// Lets the election come to rest, with a leader that goes on, and sees whether that one is told.
    func rest(in world: ScenarioWorld) {
        let patience = world.profile.sessionTimeout * 2 + .seconds(5)
        world.simulation.run(until: world.simulation.now + patience)
        let state = state.value
        world.simulation.run(until: world.simulation.now + patience) { state.told != .some(state.front?.string) }
        guard state.told != .some(state.front?.string) else { return }
        let (told, front) = (state.told ?? nil, state.front?.string)
        state.failures.append("told that \(told ?? "nobody") leads at last, and it is \(front ?? "nobody")")
    }

    var failures: [String] { state.value.failures }
}
