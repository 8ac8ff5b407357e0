import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator
import ZooKeeperTransport

/// What the users of a mutex did, and what the ensemble took from them.
struct MutexLog: Sendable {
    private let state: Confined<State>

    private final class State {
        var store = FencedStore()
        let history = History<LockAction>()
        var writes = GuardedWrites()
        var updates = Updates()
        unowned let world: ScenarioWorld
        init(_ world: ScenarioWorld) { self.world = world }
    }

    init(_ world: ScenarioWorld) {
        let log = State(world)
        state = Confined(log)
        world.observe { transaction in
            log.world.failures += log.writes.violations(in: transaction)
            log.updates.observe(transaction.change)
        }
        world.willDelete = { [unowned world] _, token in
            log.history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
        }
        world.didDelete = { [unowned world] token in
            log.history.record(.deleted(token: token), by: "admin", at: world.simulation.now)
        }
        world.willDie = { [unowned world] process in
            log.history.record(.crashed, by: process.name, at: world.simulation.now)
        }
    }

    var updatesFencedNode: Bool { state.value.world.profile.isWide }

    /// Whether a client may evict holders: not at the end, when everybody has a turn, nor if a holder's session may last
    /// longer than its own.
    func allowsEviction(by client: ZooKeeperClient) -> Bool {
        let world = state.value.world
        return !world.isMended && client.state.session.map { $0.timeout >= world.profile.sessionTimeout } == true
    }

    func nextLine() -> Int {
        state.value.updates.lastLine += 1
        return state.value.updates.lastLine
    }

    /// Notes what an update said of itself.
    func noteUpdate(_ line: Int, isWritten: Bool, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("update \(line) \(isWritten ? "written" : "refused")")
        state.value.updates.told[line] = isWritten
    }

    var updateFailures: [String] { state.value.updates.failures }

    /// Longer than a session lives unheard; short once nothing strikes any more, so that everybody has a turn.
    var longPause: Duration {
        let world = state.value.world
        // A client that stops waits for handles, but not for ever.
        return world.isMended ? .milliseconds(300) : min(world.profile.sessionTimeout * 2, .seconds(25))
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
        guard participant.isAlive, outcome == .deleted else { return }
        let ensemble = state.value.world.ensemble
        let token = lease.fencingToken.rawValue
        for name in ensemble.children(of: MutexScenario.path)
        where ensemble.node("\(MutexScenario.path)/\(name)")?.stat.czxid == token {
            participant.fail("\(name) stands, and was said to be deleted")
        }
    }

    var failures: [String] {
        FencedMutexChecker(deletionNoticedWithin: state.value.world.profile.deletionNoticedWithin)
            .violations(in: state.value.history.entries).map(\.description)
    }
}

/// Judges updates of a fenced node: each line is added once if the update said so, and not at all if it was refused.
private struct Updates {
    var lastLine = 0
    /// What updates said of themselves; nothing of those whose outcome is not known.
    var told: [Int: Bool] = [:]
    private var content: [Int] = []
    private var repeated: Set<Int> = []

    mutating func observe(_ change: TreeChange) {
        switch change {
        case .create(let creation) where creation.path == MutexScenario.updated: note(creation.data)
        case .setData(MutexScenario.updated, let data, _): note(data)
        case .multi(let changes): for change in changes { observe(change) }
        default: break
        }
    }

    private mutating func note(_ data: [UInt8]?) {
        content = String(decoding: data ?? [], as: UTF8.self).split(separator: "\n").compactMap { Int($0) }
        repeated.formUnion(Dictionary(grouping: content) { $0 }.filter { $1.count > 1 }.keys)
    }

    var failures: [String] {
        repeated.sorted().map { "update \($0) was applied twice" }
            + told.sorted { $0.key < $1.key }.filter { content.contains($0.key) != $0.value }.map {
                "update \($0.key) said that it was \($0.value ? "written" : "refused"), which is not so"
            }
    }
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
