public import ZooKeeper

/// Who owns which partition of a group, as the ensemble knows it.
public struct PartitionStatus: Sendable {
    /// One partition.
    public struct Entry: Sendable, Hashable {
        /// The partition's id.
        @ZNodeName public var partition: String
        /// Who stands in front of its queue; `nil` when nobody stands there.
        public var owner: String?
        /// The token of the owner's term; `nil` before it has taken office, and for a JVM process.
        public var token: FencingToken?
        /// How many terms there have been since the partition was first owned; each but the first is a move, or a return
        /// of the same node.
        public var terms: Int
        /// Where it should be, and why.
        public var reason: String

        /// Makes an entry, for tests.
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

    /// Who is in the group, by name.
    public var nodes: [PartitionNode]
    /// Whom operators have cordoned, in the group or not, with their notes.
    public var cordons: [ZNodeName: String]
    /// The partitions, by id.
    public var partitions: [Entry]

    /// Makes a status, for tests.
    public init(nodes: [PartitionNode], cordons: [ZNodeName: String] = [:], partitions: [Entry]) {
        self.nodes = nodes
        self.cordons = cordons
        self.partitions = partitions
    }

    /// How many partitions each node owns, by name; those in the group that own nothing are among them.
    public var balance: [ZNodeName: Int] {
        var counts: [ZNodeName: Int] = [:]
        for node in nodes { counts[node.name] = 0 }
        for entry in partitions { if let owner = entry.owner { counts[owner, default: 0] += 1 } }
        return counts
    }

    /// How many terms there have been, of all partitions together.
    public var terms: Int { partitions.reduce(0) { $0 + $1.terms } }
}

extension PartitionGroup {
    /// Who owns which partition of a group, for those who are not in it.
    ///
    /// The answers are of different moments while partitions move. While the ensemble is away it waits, until it is cancelled.
    /// - Parameters:
    ///   - path: The group.
    ///   - partitions: What is shared out, to tell where each should be; `nil` takes all that have ever been owned, without
    ///     preferences. The children of a znode bring their own.
    ///   - client: A client.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: Two listings and a read for each node and each mark of an operator, then a listing and two reads for each
    ///   partition, up to 64 partitions at a time.
    public static func status(
        at path: String, partitions: PartitionSource? = nil, client: ZooKeeperClient
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
            (ZNodeName(mark.name), NodeText(try mark.read())["note"] ?? "")
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
        let written = try await client.dataIfPresent(at: ElectionEpoch.path(of: queue))
        let epoch = written.flatMap { ElectionEpoch($0.data) }
        let isInOffice = owner.map { epoch?.candidate.hasBytes(of: $0.name.string) ?? false } ?? false
        return PartitionStatus.Entry(
            partition: partition, owner: owner?.id,
            token: isInOffice ? written.map { FencingToken(rawValue: $0.stat.mzxid.rawValue) } : nil,
            terms: written.map { Int($0.stat.dataVersion) } ?? 0, reason: plan.explain(partition) ?? "")
    }

    /// Asks for many things, some at a time; keeps their order and leaves out what is not there.
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
