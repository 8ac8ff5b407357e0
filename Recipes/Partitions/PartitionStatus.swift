public import ZooKeeper

/// The owners of a group's partitions, as read from the ensemble.
public struct PartitionStatus: Sendable {
    /// The status of one partition.
    public struct Entry: Sendable, Hashable {
        /// The partition's ID.
        @ZNodeName public var partition: String
        /// The participant ID at the head of the partition's election; `nil` if there are no participants.
        public var owner: String?
        /// The fencing token of the owner's term; `nil` before the term has started, and for a JVM process.
        public var token: FencingToken?
        /// The number of terms since the partition was first owned.
        ///
        /// Each term after the first is a move to another node, or a return of the same node.
        public var terms: Int
        /// The node that should own the partition, and the reason, in words.
        public var reason: String

        /// Creates an entry, for tests.
        public init(
            partition: String, owner: String? = nil, token: FencingToken? = nil, terms: Int = 0, reason: String = ""
        ) {
            self.partition = partition
            self.owner = owner
            self.token = token
            self.terms = terms
            self.reason = reason
        }
    }

    /// The members of the group, sorted by participant ID.
    public var nodes: [PartitionNode]
    /// The reasons of the operators' cordons by participant ID, including nodes that are not in the group.
    public var cordons: [ZNodeName: String]
    /// The partitions, sorted by ID.
    public var partitions: [Entry]

    /// Creates a status, for tests.
    public init(nodes: [PartitionNode], cordons: [ZNodeName: String] = [:], partitions: [Entry]) {
        self.nodes = nodes
        self.cordons = cordons
        self.partitions = partitions
    }

    /// The number of partitions that each node owns, by participant ID; members that own none have the value 0.
    public var balance: [ZNodeName: Int] {
        var counts: [ZNodeName: Int] = [:]
        for node in nodes { counts[node.id] = 0 }
        for entry in partitions { if let owner = entry.owner { counts[owner, default: 0] += 1 } }
        return counts
    }

    /// The number of terms of all partitions together.
    public var terms: Int { partitions.reduce(0) { $0 + $1.terms } }
}

extension PartitionGroup {
    /// Returns the owners of a group's partitions, for processes that are not in the group.
    ///
    /// The answers are from different moments, so they may be inconsistent while partitions move. If the ensemble is
    /// not available, the method waits until it is, or until the task is cancelled.
    ///
    /// - Parameters:
    ///   - client: The client that sends the requests.
    ///   - path: The path of the group.
    ///   - partitions: The partitions, to determine the node that should own each of them. `nil` means all partitions
    ///     that have ever been owned, without preferred nodes. Children of a znode include their preferred nodes.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: 2 listings, and a read for each node and each cordon. If `partitions` is not a list, 1 listing
    ///   more, and for children of a znode a read for each of them. Then 1 listing and 2 reads for each partition, with
    ///   up to 64 partitions at a time.
    public static func status(
        client: ZooKeeperClient, path: String, partitions: PartitionSource? = nil
    ) async throws -> PartitionStatus {
        try await client.recipeSteps { try await read(at: path, partitions: partitions, client: client) }
    }

    private static func read(
        at path: String, partitions: PartitionSource?, client: ZooKeeperClient
    ) async throws -> PartitionStatus {
        let cordons = try await cordons(at: path, client: client)
        let nodes = try await client.childrenWithData(of: ZNodePath.child("members", of: path)).map { member in
            var node = PartitionNode(name: member.name, data: try member.read())
            node.isCordonedByOperator = cordons[member.name] != nil
            return node
        }
        let all = try await list(partitions, path: path, client: client)
        let plan = PartitionPlan(partitions: all, nodes: nodes)
        let entries = try await inChunks(plan.partitions) { partition in
            try await entry(of: partition.id, path: path, plan: plan, client: client)
        }
        return PartitionStatus(nodes: nodes, cordons: cordons, partitions: entries)
    }

    private static func cordons(at path: String, client: ZooKeeperClient) async throws -> [ZNodeName: String] {
        let notes = try await client.childrenWithData(of: cordons(in: path)).map { mark in
            (ZNodeName(mark.name), KeyValueData(try mark.read())["note"] ?? "")
        }
        return Dictionary(notes) { first, _ in first }
    }

    private static func list(
        _ source: PartitionSource?, path: String, client: ZooKeeperClient
    ) async throws -> [Partition] {
        switch source?.kind {
        case .list(let partitions): return partitions
        case .children(let source):
            var ignored: Set<ZNodeName> = []
            return try await client.childrenWithData(of: source).map {
                Partition(id: $0.name, data: try $0.read())
            }.possible(in: source, ignored: &ignored, logger: client.logger)
        case nil:
            return try await client.sortedChildren(of: ZNodePath.child("partitions", of: path)).map { Partition($0) }
                .filter { $0.problem == nil }
        }
    }

    private static func entry(
        of partition: String, path: String, plan: PartitionPlan, client: ZooKeeperClient
    ) async throws -> PartitionStatus.Entry {
        let queue = queue(of: partition, in: path)
        let owner = try await Candidate.first(in: queue, client: client)
        let written = try await client.dataIfExists(at: ElectionEpoch.path(of: queue))
        let epoch = written.flatMap { ElectionEpoch($0.data) }
        let isInOffice = owner.map { epoch?.candidate.hasBytes(of: $0.name.string) ?? false } ?? false
        return PartitionStatus.Entry(
            partition: partition, owner: owner?.id,
            token: isInOffice ? written.map { FencingToken(rawValue: $0.stat.mzxid.rawValue) } : nil,
            terms: written.map { Int($0.stat.dataVersion) } ?? 0, reason: plan.explain(partition) ?? "")
    }

    /// Reads values for many keys, up to 64 at a time.
    ///
    /// - Returns: The values in the order of their keys, without those that do not exist.
    private static func inChunks<Key: Sendable, Value: Sendable>(
        _ keys: [Key], _ read: @escaping @Sendable (Key) async throws -> Value?
    ) async throws -> [Value] {
        try await withThrowingTaskGroup(of: (Int, Value?).self) { group in
            var found = [Value?](repeating: nil, count: keys.count)
            for (index, key) in keys.enumerated() {
                if index >= 64, let (done, value) = try await group.next() { found[done] = value }
                group.addTask { (index, try await read(key)) }
            }
            for try await (done, value) in group { found[done] = value }
            return found.compactMap { $0 }
        }
    }
}
