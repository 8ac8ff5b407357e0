import ZooKeeper
import ZooKeeperBridge
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What the users of a mutex did, and what the ensemble took from them.
struct MutexLog: Sendable {
    private let state: Confined<State>

    private final class State {
        var store = FencedStore()
        let history = History<LockAction>()
        var writes = GuardedWrites()
        unowned let world: ScenarioWorld
        init(_ world: ScenarioWorld) { self.world = world }
    }

    init(_ world: ScenarioWorld) {
        let log = State(world)
        state = Confined(log)
        world.observe { transaction in
            log.world.failures += log.writes.violations(in: transaction)
        }
        world.willDelete = { [unowned world] _, token in
            log.history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
        }
        world.willDie = { [unowned world] process in
            log.history.record(.crashed, by: process.name, at: world.simulation.now)
        }
    }

    /// Longer than a session lives unheard; short once nothing strikes any more, so that everybody has a turn.
    var longPause: Duration {
        let world = state.value.world
        return world.isMended ? .milliseconds(300) : world.profile.sessionTimeout * 2
    }

    func record(_ action: LockAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    /// The holder does something, as a careful program does: it looks whether it still may, and hands its token over.
    func act(_ lease: Lease, by participant: Participant) {
        let isValid = lease.isValid
        guard participant.isAlive else { return }
        let token = lease.fencingToken.rawValue
        let accepted = isValid ? state.value.store.accept(token, writes: true) : nil
        record(.acted(token: token, isValid: isValid, accepted: accepted), by: participant)
    }

    /// Who says that a znode is deleted is held to it.
    func released(_ lease: Lease, _ outcome: ReleaseOutcome, by participant: Participant) {
        guard participant.isAlive, outcome.isDeleted else { return }
        let ensemble = state.value.world.ensemble
        let token = lease.fencingToken.rawValue
        for name in ensemble.children(of: MutexScenario.path)
        where ensemble.node("\(MutexScenario.path)/\(name)")?.stat.czxid == token {
            participant.fail("\(name) stands, and was said to be deleted")
        }
    }

    var failures: [String] { FencedMutexChecker().violations(in: state.value.history.entries).map(\.description) }
}

/// Judges the guarded writes by what the ensemble committed, whatever their writers believed.
///
/// A write belongs to the holder at that instant: of all znodes of the queue that stand, its token's is the first one.
private struct GuardedWrites {
    /// The znodes of the queue that stand, and their tokens.
    private var standing: [String: Int64] = [:]
    /// The highest token of a guarded write that was committed.
    private var highest = Int64.min

    mutating func violations(in transaction: Transaction) -> [String] {
        if case .multi(let changes) = transaction.change {
            return changes.flatMap { violations(in: $0, zxid: transaction.zxid) }
        }
        return violations(in: transaction.change, zxid: transaction.zxid)
    }

    private mutating func violations(in change: TreeChange, zxid: Int64) -> [String] {
        switch change {
        case .create(let creation) where creation.path.hasPrefix(MutexScenario.path + "/"):
            standing[creation.path] = zxid
        case .delete(let path): standing[path] = nil
        case .closeSession(let paths):
            for path in paths { standing[path] = nil }
        case .setData(MutexScenario.guarded, let data, _):
            return violations(of: Int64(String(decoding: data ?? [], as: UTF8.self)) ?? .min)
        default: break
        }
        return []
    }

    private mutating func violations(of token: Int64) -> [String] {
        defer { highest = max(highest, token) }
        var found: [String] = []
        if token < highest { found.append("a guarded write with token \(token) after \(highest)") }
        if !standing.values.contains(token) {
            found.append("a guarded write with token \(token), whose znode does not stand any more")
        } else if standing.values.contains(where: { $0 < token }) {
            found.append("a guarded write with token \(token), in front of which another znode stands")
        }
        return found
    }
}
