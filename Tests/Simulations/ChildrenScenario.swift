import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Caches of a znode's children and of the tree below it, while others change it.
package struct ChildrenScenario: Scenario {
    package static let name = "children"
    static let root = "/top"
    static let children = ["/top/a", "/top/b", "/top/c", "/top/d"]
    static let tree = ["/top"] + children + ["/top/a/x", "/top/a/y", "/top/a/x/z", "/top/b/x"]

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let log = SubtreeLog(world, paths: Self.tree)
        let isOver = Flag()
        world.add("children") { participant in await SubtreeCaller(participant: participant, log: log).children() }
        world.add("tree") { participant in await SubtreeCaller(participant: participant, log: log).tree() }
        for number in 1...(1 + world.simulation.chance.below(2)) {
            world.add("writer\(number)") { participant in
                await SubtreeWriter(participant: participant, isOver: isOver).main()
            }
        }
        if world.simulation.chance.oneIn(2) {
            world.add("names") { participant in
                await SubtreeCaller(participant: participant, log: log).names()
            }
        }
        if world.simulation.chance.oneIn(3) {
            world.keepMovingBehind(until: world.simulation.now + world.profile.trouble) { !$0.hasPrefix("writer") }
        }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(20))
        // On connections that last, watches are all that tells of a change.
        world.simulation.run(until: world.simulation.now + .seconds(10))
        isOver.set()
        // Longer than the pauses between two looks at what is not watched.
        world.simulation.run(until: world.simulation.now + world.profile.sessionTimeout * 2 + .seconds(30))
        let failures = log.failures() + log.failuresOfNames(standing: world.ensemble.children(of: Self.root).sorted())
        world.stop()
        return failures
    }

}

/// A process that follows the tree.
private struct SubtreeCaller: Sendable {
    let participant: Participant
    let log: SubtreeLog

    func children() async {
        await follow(ChildrenScenario.children) { client in
            var configuration = ChildrenCache.Configuration()
            configuration.watchBudget = participant.chance { $0.pick([1_000_000, 1_000_000, 40, 0]) }
            configuration.pollInterval = Self.interval(configuration.watchBudget)
            configuration.maximumConcurrentReads = participant.chance { $0.pick([1, 2, 256]) }
            try await withChildrenCache(
                client: client, path: ChildrenScenario.root, configuration: configuration
            ) { cache in
                try await watch(cache.changes, ChildrenScenario.children)
            }
        }
    }

    func tree() async {
        await follow(ChildrenScenario.tree) { client in
            var configuration = TreeCache.Configuration()
            configuration.watchBudget = participant.chance { $0.pick([1_000_000, 1_000_000, 60]) }
            configuration.pollInterval = Self.interval(configuration.watchBudget)
            configuration.maximumConcurrentReads = participant.chance { $0.pick([1, 2, 256]) }
            try await withTreeCache(client: client, path: ChildrenScenario.root, configuration: configuration) {
                cache in
                try await watch(cache.changes, ChildrenScenario.tree)
            }
        }
    }

    /// The children's names alone.
    func names() async {
        await participant.withClient { client in
            var configuration = ChildrenCache.Configuration()
            configuration.readsData = false
            try await withChildrenCache(
                client: client, path: ChildrenScenario.root, configuration: configuration
            ) { cache in
                for await entry in cache.changes {
                    log.sawNames(entry, by: participant)
                    if entry.isLive { participant.progress() }
                }
            }
        }
        log.closedNames(participant)
    }

    /// With room for all watches, looking again must not be what finds a change.
    private static func interval(_ budget: Int) -> Duration {
        budget == 1_000_000 ? .seconds(3600) : .seconds(3)
    }

    private func follow(_ paths: [String], _ body: @Sendable (ZooKeeperClient) async throws -> Void) async {
        await participant.withClient(body)
        log.closed(participant, paths: paths)
    }

    private func watch(_ changes: AsyncStream<CacheEntry>, _ paths: [String]) async throws {
        for await entry in changes {
            log.saw(entry, by: participant, among: paths)
            if entry.isLive { participant.progress() }
            // A slow reader skips to the newest.
            try await participant.pause(.zero ... .milliseconds(50))
        }
    }
}

/// A process that changes the tree all the time.
private struct SubtreeWriter: Sendable {
    let participant: Participant
    let isOver: Flag

    func main() async {
        await participant.withClient { client in
            while !Task.isCancelled {
                if !isOver.isSet { try await change(client) }
                participant.progress()
                try await participant.pause(.zero ... .milliseconds(500))
            }
        }
    }

    private func change(_ client: ZooKeeperClient) async throws {
        let path = participant.chance { $0.pick(ChildrenScenario.tree) }
        let data = [UInt8](repeating: 1, count: participant.chance { $0.below(4) })
        let action = participant.chance { $0.below(7) }
        do {
            switch action {
            case 0, 1, 2: try await create(path, client)
            case 3: try await client.delete(path)
            case 4: try await client.deleteRecursively(path)
            case 5:
                try await client.deleteRecursively(path)
                try await create(path, client)
            default: try await client.setData(data, at: path)
            }
        } catch let error as ZooKeeperError where error.code == .noNode || error.code == .notEmpty {
            return
        } catch {
            participant.judge(error)
            if error is CancellationError { throw error }
        }
    }

    /// With its parents, as persistent znodes.
    private func create(_ path: String, _ client: ZooKeeperClient) async throws {
        let lineage = ChildrenScenario.tree.filter { path == $0 || path.hasPrefix($0 + "/") }
        for path in lineage {
            do {
                try await client.create(path)
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                continue
            }
        }
    }
}
