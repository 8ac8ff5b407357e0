import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Nodes that share partitions out, while some fail, are cordoned, and hear of other lists.
///
/// Workers throw, return or do not heed their end. Partitions come and go, through every fault. Each node prefers one
/// partition, and must have it again in the end.
package struct PartitionScenario: Scenario {
    package static let name = "partitions"
    static let path = "/shards"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let names = (1...(2 + world.simulation.chance.below(3))).map { "n\($0)" }
        let partitions = Self.partitions(names, &world.simulation.chance)
        let log = PartitionLog(world)
        world.deletable = [Self.path + "/members"]
        let configuration = Self.configuration(&world.simulation.chance)
        let capacity = world.simulation.chance.oneIn(3) ? partitions.count - 1 : nil
        for name in names {
            world.add(name) { participant in
                await PartitionHost(
                    participant: participant, log: log, partitions: partitions, configuration: configuration,
                    node: PartitionNode(name, capacity: capacity)
                ).main()
            }
        }
        // A node that is killed has to outwait its earlier life, and the owner of its partition.
        let rest = world.profile.sessionTimeout * 8 + configuration.absenceTimeout + .seconds(60)
        world.run(faultsFor: world.profile.trouble, rest: rest)
        world.stop()
        return log.failures(activeAgainWithin: world.profile.trouble + rest) + leftovers(partitions, in: world)
    }

    /// One that each node prefers, and some that nobody does.
    private static func partitions(_ names: [String], _ chance: inout Chance) -> [Partition] {
        let preferred = names.map { Partition("of-\($0)", preferred: [$0]) }
        return preferred + (0..<chance.below(4)).map { Partition("p\($0)") }
    }

    private static func configuration(_ chance: inout Chance) -> PartitionGroup.Configuration {
        var configuration = PartitionGroup.Configuration()
        configuration.absenceTimeout = chance.pick([.zero, .seconds(1), .seconds(10)])
        configuration.rebalanceDelay = chance.pick([.zero, .zero, .milliseconds(500), .seconds(3)])
        configuration.startupDelay = chance.pick([.zero, .zero, .seconds(1)])
        configuration.maximumMovesPerMinute = chance.pick([nil, nil, 6])
        configuration.leadership.initialRetryDelay = .milliseconds(20)
        configuration.leadership.maximumRetryDelay = .seconds(1)
        configuration.leadership.retryResetInterval = .seconds(1)
        return configuration
    }

    /// Everybody has left: nothing may stand in a queue any more, nor be asked of anybody.
    private func leftovers(_ partitions: [Partition], in world: ScenarioWorld) -> [String] {
        let queues = partitions.map { "\(Self.path)/partitions/\($0.id)" }
        return ([Self.path + "/members"] + queues + queues.map { $0 + "-requests" }).flatMap { directory in
            world.ensemble.children(of: directory).sorted().map { "left behind: \(directory)/\($0)" }
        }
    }
}

/// What the workers did.
struct PartitionLog: Sendable {
    private let state: Confined<State>

    private final class State {
        var stores: [String: FencedStore] = [:]
        let history = History<PartitionAction>()
    }

    init(_ world: ScenarioWorld) {
        let log = State()
        state = Confined(log)
        world.willDie = { [unowned world] process in
            log.history.record(.crashed(node: process.name), by: process.name, at: world.simulation.now)
        }
    }

    func record(_ action: PartitionAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    /// A worker does something, as a careful one does: it looks whether it still may, and hands its token over.
    func act(_ partition: String, _ term: Term, by participant: Participant) {
        let isValid = term.isValid
        guard participant.isAlive else { return }
        let token = term.fencingToken.rawValue
        let accepted = isValid ? state.value.stores[partition, default: .init()].accept(token, writes: true) : nil
        record(.acted(partition: partition, token: token, isValid: isValid, accepted: accepted), by: participant)
    }

    func failures(activeAgainWithin bound: Duration) -> [String] {
        PartitionChecker(activeAgainWithin: bound).violations(in: state.value.history.entries).map(\.description)
    }
}

/// One life of a node.
private struct PartitionHost: Sendable {
    let participant: Participant
    let log: PartitionLog
    let partitions: [Partition]
    let configuration: PartitionGroup.Configuration
    let node: PartitionNode

    private struct Breakdown: Error {}

    func main() async {
        await participant.withClient { client in
            while !Task.isCancelled {
                do {
                    try await takePart(client)
                } catch is RecipeError {
                    // Its earlier life stands for as long as nobody notices its end.
                    try await participant.pause(.zero ... .seconds(1))
                }
            }
        }
    }

    private func takePart(_ client: ZooKeeperClient) async throws {
        var warmUp: (@Sendable (Partition) async throws -> Void)?
        if participant.chance({ $0.oneIn(2) }) { warmUp = { _ in try await getReady() } }
        let group = try PartitionGroup(
            client: client, path: PartitionScenario.path, node: node, partitions: .list(partitions),
            configuration: configuration, logger: client.logger,
            warmUp: warmUp
        ) { partition, term in
            try await work(partition, term)
        }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { await meddle(group, client) }
            defer { tasks.cancelAll() }
            // The one who meddles comes to an end.
            while try await tasks.next() != nil {}
        }
    }

    private func getReady() async throws {
        try await participant.pause(.zero ... .milliseconds(500))
        if participant.chance({ $0.oneIn(4) }) { throw Breakdown() }
    }

    private func work(_ partition: Partition, _ term: Term) async throws {
        let (id, token) = (partition.id, term.fencingToken.rawValue)
        let holding = participant.beginHolding()
        defer { participant.endHolding(holding) }
        log.record(.began(partition: id, token: token), by: participant)
        defer { log.record(.ended(partition: id, token: token), by: participant) }
        while true {
            log.act(id, term, by: participant)
            // What is there for this node alone is the sign that it has come home.
            if partition.preferred == [node.id], !Task.isCancelled { participant.progress() }
            switch participant.chance({ $0.below(40) }) {
            case 0: throw Breakdown()
            case 1: return
            // Some do not heed the cancellation that comes with a loss.
            case 2, 3: await participant.stubbornPause(.zero ... .seconds(1))
            default: try await participant.pause(.milliseconds(10) ... .milliseconds(900))
            }
            try Task.checkCancellation()
        }
    }

    /// An operator has a say for a while.
    private func meddle(_ group: PartitionGroup, _ client: ZooKeeperClient) async {
        for _ in 0..<participant.chance({ $0.below(6) }) {
            do { try await participant.pause(.zero ... .seconds(2)) } catch { break }
            let (deed, kept) = participant.chance { chance in
                (chance.below(5), partitions.filter { _ in !chance.oneIn(3) })
            }
            switch deed {
            case 0: group.cordon()
            case 1: group.uncordon()
            case 2: try? group.setPartitions(kept)
            case 3: try? await PartitionGroup.cordon(node.id, client: client, path: group.path)
            default: try? group.setPartitions(partitions)
            }
        }
        group.uncordon()
        try? group.setPartitions(partitions)
        // Also what an earlier life has left.
        for await state in group.states where state.nodes.contains(where: { $0.isCordonedByOperator }) {
            _ = try? await PartitionGroup.uncordon(node.id, client: client, path: group.path)
            try? await participant.pause(.zero ... .seconds(1))
        }
    }
}
