public import ZooKeeper

/// An assignment of partitions to nodes, which is the same on every node that has the same information about the group.
///
/// A partition is assigned to the first of its preferred nodes that is present. If none is present, its hash decides,
/// in proportion to the weights (rendezvous hashing). If a node joins or leaves, only the partitions that it gets or
/// had move. A full node keeps the partitions that prefer it most, or whose hash fits it best. The other partitions go
/// to their next best node, and may displace others there if that node is full, too.
///
/// Every node computes the plan from what it knows. The plan itself moves nothing: the owner of a partition is the node
/// that leads its election.
///
/// ```swift
/// let plan = PartitionPlan(partitions: ["a", "b", "c"], nodes: ["web1", PartitionNode("web2", weight: 2)])
/// print(plan["a"]?.owner ?? "nobody", plan.explain("a") ?? "")
/// ```
///
/// - Complexity: O(*partitions* × *nodes*). 10,000 partitions over 100 nodes take a few hundredths of a second.
public struct PartitionPlan: Sendable {
    /// The partitions without duplicates, sorted by ID.
    let partitions: [Partition]
    /// The nodes that may take partitions, sorted by participant ID.
    let nodes: [PartitionNode]
    /// For each of ``nodes``, whether it has left and the plan keeps its partitions.
    let isAway: [Bool]
    let partitionHashes: [UInt64]
    let nodeHashes: [UInt64]
    let weights: [Double]
    let nodeIndices: [ZNodeName: Int]
    /// The participant IDs of the cordoned nodes, which may not take partitions.
    let cordoned: Set<ZNodeName>
    /// The placement of each partition, in the order of ``partitions``.
    private(set) var places: [Place] = []

    /// The placement of a partition as indices into ``nodes``; -1 means no node.
    struct Place: Sendable, Hashable {
        var home = -1
        var owner = -1
        var next = -1
    }

    /// Computes the plan.
    ///
    /// - Parameters:
    ///   - partitions: The partitions to assign. If several have the same ID, the last one counts.
    ///   - nodes: The group's nodes. Cordoned nodes get no partitions. If several nodes have the same participant ID,
    ///     the last one counts.
    ///   - absent: The participant IDs of nodes that have left and may come back. They stay the home nodes of their
    ///     partitions, which other nodes own for the time being.
    public init(partitions: [Partition], nodes: [PartitionNode], absent: some Sequence<String> = EmptyCollection()) {
        let away = Set(names: absent)
        let byName = Dictionary(nodes.map { (ZNodeName($0.id), $0) }) { $1 }
        let byID = Dictionary(partitions.map { (ZNodeName($0.id), $0) }) { $1 }
        self.partitions = byID.orderedValues
        self.nodes = byName.orderedValues.filter(\.takesPartitions)
        cordoned = Set(names: byName.values.lazy.filter { !$0.takesPartitions }.map(\.id))
        isAway = self.nodes.map { away.contains($0.id) }
        partitionHashes = self.partitions.map { PartitionScore.hash($0.id) }
        weights = self.nodes.map(\.weight)
        nodeHashes = self.nodes.map { PartitionScore.hash($0.id) }
        nodeIndices = Dictionary(uniqueKeysWithValues: self.nodes.enumerated().map { (ZNodeName($1.id), $0) })
        places = computed()
    }

    /// Returns the placement of a partition; `nil` if the plan does not contain it.
    public subscript(partition: String) -> PartitionPlacement? {
        index(of: partition).map { PartitionPlacement(plan: self, index: $0) }
    }

    /// The placements of all partitions, sorted by partition ID.
    public var placements: [PartitionPlacement] {
        partitions.indices.map { PartitionPlacement(plan: self, index: $0) }
    }

    /// The number of partitions that each node should own now, by participant ID, without cordoned nodes.
    public var balance: [ZNodeName: Int] {
        var counts: [ZNodeName: Int] = [:]
        for index in nodes.indices where !isAway[index] { counts[nodes[index].id] = 0 }
        for place in places where place.owner >= 0 { counts[nodes[place.owner].id, default: 0] += 1 }
        return counts
    }

    /// Explains the placement of a partition in words; `nil` if the plan does not contain the partition.
    public func explain(_ partition: String) -> String? { self[partition]?.description }

    /// Returns the participant IDs of a partition's nodes, the best one first, regardless of capacities.
    ///
    /// Nodes that have left and may come back are included. The result is empty if the plan does not contain the
    /// partition.
    public func ranking(of partition: String) -> [String] {
        guard let index = index(of: partition) else { return [] }
        return ranking(at: index).map { nodes[$0].id }
    }

    func index(of partition: String) -> Int? {
        let id = ZNodeName(partition)
        var (low, high) = (0, partitions.count)
        while low < high {
            let middle = (low + high) / 2
            if ZNodeName(partitions[middle].id) < id { low = middle + 1 } else { high = middle }
        }
        return low < partitions.count && partitions[low].id.hasBytes(of: partition) ? low : nil
    }
}
