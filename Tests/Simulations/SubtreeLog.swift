import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// What caches of several znodes showed, and what really happened to each of these.
struct SubtreeLog: Sendable {
    private let histories: Confined<[String: History<CacheAction>]>
    /// What caches of names saw last, by their processes.
    private let names = Confined(Names())

    private final class Names {
        var seen: [String: (names: [String], isLive: Bool)] = [:]
    }

    init(_ world: ScenarioWorld, paths: [String]) {
        let histories = Dictionary(uniqueKeysWithValues: paths.map { ($0, History<CacheAction>()) })
        self.histories = Confined(histories)
        let before = world.willDie
        world.willDie = { [unowned world, names = names.value] process in
            before(process)
            names.seen[process.name] = nil
            for path in paths { histories[path]?.record(.closed, by: process.name, at: world.simulation.now) }
        }
        world.observe { [unowned world] transaction in
            for (path, action) in Self.truth(of: transaction.change, ZXID(rawValue: transaction.zxid)) {
                histories[path]?.record(action, by: "ensemble", at: world.simulation.now)
            }
        }
    }

    private static func truth(of change: TreeChange, _ zxid: ZXID) -> [(String, CacheAction)] {
        switch change {
        case .create(let creation): [(creation.path, .created(zxid))]
        case .delete(let path): [(path, .deleted(zxid))]
        case .setData(let path, _, _): [(path, .changed(zxid))]
        case .closeSession(let paths): paths.map { ($0, .deleted(zxid)) }
        case .multi(let changes): changes.flatMap { truth(of: $0, zxid) }
        default: []
        }
    }

    /// A cache has shown an entry.
    func saw(_ entry: CacheEntry, by participant: Participant, among paths: [String]) {
        guard participant.isAlive, entry.snapshot != nil || entry.isAbsent else { return }
        for path in paths {
            let stat = entry.snapshot?[path: path]?.stat
            if entry.snapshot?[path: path]?.error != nil { continue }
            let state = stat.map { CacheAction.State.present(czxid: $0.czxid, mzxid: $0.mzxid) } ?? .absent
            record(.saw(state), at: path, by: participant)
        }
    }

    /// A cache of names has shown an entry.
    func sawNames(_ entry: CacheEntry, by participant: Participant) {
        guard participant.isAlive else { return }
        names.value.seen[participant.name] = ((entry.snapshot?.sorted ?? []).map(\.name), entry.isLive)
    }

    func closedNames(_ participant: Participant) {
        if participant.isAlive { names.value.seen[participant.name] = nil }
    }

    /// At rest names are those that stand.
    func failuresOfNames(standing: [String]) -> [String] {
        names.value.seen.sorted { $0.key < $1.key }.compactMap { name, seen in
            seen.isLive && seen.names == standing ? nil : "\(name) sees \(seen) at rest, \(standing) stand"
        }
    }

    func closed(_ participant: Participant, paths: [String]) {
        for path in paths { record(.closed, at: path, by: participant) }
    }

    private func record(_ action: CacheAction, at path: String, by participant: Participant) {
        guard participant.isAlive else { return }
        histories.value[path]?.record(action, by: participant.name, at: participant.now)
    }

    func failures() -> [String] {
        histories.value.sorted { $0.key < $1.key }.flatMap { path, history in
            CacheChecker().violations(in: history.entries).map { "\(path): \($0.description)" }
        }
    }
}
