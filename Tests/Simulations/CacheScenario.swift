import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Caches that follow a znode which is created, written and deleted, on servers that lag and fail.
package struct CacheScenario: Scenario {
    package static let name = "cache"
    static let path = "/config/node"
    static let parent = "/config"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let log = CacheLog(world)
        let isOver = Flag()
        for number in 1...(1 + world.simulation.chance.below(2)) {
            world.add("cache\(number)") { participant in
                await CacheFollower(participant: participant, log: log).main()
            }
        }
        world.add("writer") { participant in await CacheWriter(participant: participant, isOver: isOver).main() }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(20))
        // What stands when the writer rests is what everybody must come to know.
        isOver.set()
        world.simulation.run(until: world.simulation.now + world.profile.sessionTimeout * 2 + .seconds(20))
        let failures = log.failures()
        world.stop()
        return failures
    }
}

/// Set once, by the scenario.
final class Flag: Sendable {
    private let happened = OneShot<Void>()
    var isSet: Bool { happened.value != nil }
    func set() { happened.set(()) }
}

/// What the caches showed, and what really happened to the znode.
struct CacheLog: Sendable {
    private let history = Confined(History<CacheAction>())

    init(_ world: ScenarioWorld) {
        let history = history.value
        world.willDie = { [unowned world] process in
            history.record(.closed, by: process.name, at: world.simulation.now)
        }
        world.observe { [unowned world] transaction in
            for action in Self.truth(of: transaction.change, ZXID(rawValue: transaction.zxid)) {
                history.record(action, by: "ensemble", at: world.simulation.now)
            }
        }
    }

    private static func truth(of change: TreeChange, _ zxid: ZXID) -> [CacheAction] {
        switch change {
        case .create(let creation): creation.path == CacheScenario.path ? [.created(zxid)] : []
        case .delete(CacheScenario.path): [.deleted(zxid)]
        case .setData(CacheScenario.path, _, _): [.changed(zxid)]
        case .multi(let changes): changes.flatMap { truth(of: $0, zxid) }
        default: []
        }
    }

    func saw(_ entry: NodeCache.Entry, by participant: Participant) {
        let state: CacheAction.State
        switch entry.content {
        case .unknown, .unreadable: return
        case .absent: state = .absent
        case .present(_, let stat): state = .present(czxid: stat.czxid, mzxid: stat.mzxid)
        }
        record(.saw(state), by: participant)
    }

    func record(_ action: CacheAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        history.value.record(action, by: participant.name, at: participant.now)
    }

    func failures() -> [String] {
        CacheChecker().violations(in: history.value.entries).map(\.description)
    }
}

/// A process that follows the znode.
private struct CacheFollower: Sendable {
    let participant: Participant
    let log: CacheLog

    func main() async {
        await participant.withClient { client in
            try await withNodeCache(client: client, path: CacheScenario.path) { cache in
                for await entry in cache.changes {
                    log.saw(entry, by: participant)
                    if entry.isLive { participant.progress() }
                    // A slow reader skips to the newest.
                    try await participant.pause(.zero ... .milliseconds(100))
                }
            }
        }
        log.record(.closed, by: participant)
    }
}

/// A process that changes the znode all the time.
private struct CacheWriter: Sendable {
    let participant: Participant
    let isOver: Flag

    func main() async {
        await participant.withClient { client in
            while !Task.isCancelled {
                if !isOver.isSet { try await change(client) }
                participant.progress()
                try await participant.pause(.zero ... .milliseconds(800))
            }
        }
    }

    private func change(_ client: ZooKeeperClient) async throws {
        let data = [UInt8](repeating: 1, count: participant.chance { $0.below(4) })
        do {
            switch participant.chance({ $0.below(6) }) {
            case 0: try await create(CacheScenario.path, client)
            case 1: try await client.delete(CacheScenario.path)
            case 2:
                try await client.delete(CacheScenario.path)
                try await create(CacheScenario.path, client)
            default: _ = try await client.setData(data, at: CacheScenario.path)
            }
        } catch let error as ZooKeeperError where error.code == .noNode {
            try await create(CacheScenario.path, client)
        } catch {
            participant.judge(error)
            if error is CancellationError { throw error }
        }
    }

    private func create(_ path: String, _ client: ZooKeeperClient) async throws {
        do {
            try await client.create(path)
        } catch let error as ZooKeeperError where error.code == .nodeExists {
            return
        } catch let error as ZooKeeperError where error.code == .noNode {
            try await create(CacheScenario.parent, client)
        } catch {
            participant.judge(error)
            if error is CancellationError { throw error }
        }
    }
}
