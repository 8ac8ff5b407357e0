import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTestKit

@testable import ZooKeeperRecipes

/// A server, and what the workers of a group's nodes did.
struct PartitionScene: Sendable {
    static let path = "/app/shards"

    let server: TestServer
    let log = History<PartitionAction>()

    static func with(_ body: @escaping @Sendable (PartitionScene) async throws -> Void) async throws {
        try await withSceneServer { server in try await body(PartitionScene(server: server)) }
    }

    /// Ids that differ from test to test, so that each has a plan of its own.
    static func partitions(_ count: Int, _ prefix: String = "p") -> [Partition] {
        (0..<count).map { Partition("\(prefix)\($0)") }
    }

    func node(
        _ node: PartitionNode, _ partitions: PartitionSource, at address: String? = nil,
        session: Duration = .seconds(6),
        warmUp: (@Sendable (Partition) async throws -> Void)? = nil,
        worker: (@Sendable (Partition, Term) async throws -> Void)? = nil,
        change: (inout PartitionGroup.Configuration) -> Void = { _ in }
    ) throws -> GroupNode {
        let client = try ZooKeeperClient(
            configuration: .init(connectionString: address ?? server.connectionString, sessionTimeout: session))
        var configuration = PartitionGroup.Configuration()
        configuration.rebalanceDelay = .zero
        change(&configuration)
        let (log, name) = (log, node.id)
        let group = try PartitionGroup(
            client: client, path: Self.path, node: node, partitions: partitions, configuration: configuration,
            warmUp: warmUp
        ) { partition, term in
            let (id, token) = (partition.id, term.fencingToken.rawValue)
            log.record(.began(partition: id, token: token), by: name, at: SystemMonotonicClock().now)
            defer {
                log.record(
                    .acted(partition: id, token: token, isValid: term.isValid), by: name, at: SystemMonotonicClock().now
                )
                log.record(.ended(partition: id, token: token), by: name, at: SystemMonotonicClock().now)
            }
            log.record(
                .acted(partition: id, token: token, isValid: term.isValid), by: name, at: SystemMonotonicClock().now)
            if let worker { return try await worker(partition, term) }
            try await OneShot<Void>().wait()
        }
        return GroupNode(client: client, group: group)
    }

    /// What two owners at once, and the like, would show; what nobody owned for long is not judged here.
    func violations() -> [Violation] {
        PartitionChecker(activeAgainWithin: .seconds(3600)).violations(in: log.entries)
    }

    /// What the ensemble says of the group.
    func status(_ partitions: PartitionSource? = nil) async throws -> PartitionStatus {
        try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
            try await PartitionGroup.status(client: client, path: Self.path, partitions: partitions)
        }
    }
}

/// A node of a group, with a client and a session of its own.
struct GroupNode: Sendable {
    let client: ZooKeeperClient
    let group: PartitionGroup
    let connection: Task<Void, any Error>
    let running: Task<Void, any Error>

    init(client: ZooKeeperClient, group: PartitionGroup) {
        self.client = client
        self.group = group
        connection = Task { try await client.run() }
        running = Task { try await group.run() }
    }

    var name: String { group.id }

    /// Leaves in order.
    func stop() async throws {
        running.cancel()
        try await running.value
        connection.cancel()
        try await connection.value
    }

    /// Waits for a state.
    @discardableResult
    func state(where matches: (PartitionGroupState) -> Bool) async -> PartitionGroupState {
        for await state in group.states where matches(state) { return state }
        return group.state
    }
}

extension [GroupNode] {
    /// Waits until each node knows these nodes and partitions, and has what it should.
    ///
    /// When the test's time is over before, prints what each node thinks.
    func settle(_ partitions: [Partition]) async {
        let (names, ids) = (Set(map(\.name)), Set(partitions.map(\.id)))
        for node in self {
            await node.state { state in
                state.isSettled && Set(state.nodes.map(\.id)) == names
                    && Set(state.plan?.placements.map(\.partition.id) ?? []) == ids
            }
        }
        guard Task.isCancelled else { return }
        for node in self {
            let state = node.group.state
            print(
                "\(node.name): settled \(state.isSettled), knows \(state.nodes.map(\.id)), owns \(state.owned), wants",
                state.pending, node.group.membership.node.state)
        }
    }

    /// Who owns what, by what the nodes say of themselves.
    var owners: [String: [String]] {
        var owners: [String: [String]] = [:]
        for node in self { for id in node.group.state.owned { owners[id, default: []].append(node.name) } }
        return owners
    }

    /// The tokens of what is owned.
    var tokens: [String: FencingToken] {
        var tokens: [String: FencingToken] = [:]
        for node in self { for id in node.group.state.owned { tokens[id] = node.group.term(of: id)?.fencingToken } }
        return tokens
    }

    func stop() async throws {
        for node in self { try await node.stop() }
    }
}
