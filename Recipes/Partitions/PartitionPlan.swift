public import ZooKeeper

/// Which node should have which partition: the same on every node that knows the same of the group.
///
/// A partition goes to the first of its preferred nodes that is there; else to the node where its hash puts it, in
/// proportion to the weights (rendezvous hashing). A node that comes or goes moves only what it gets, or had. A node that
/// has no room left keeps the partitions that prefer it most, or whose hash fits it best, and the others go to their next
/// best node; that may displace others in turn, where those have no room either.
///
/// Every node computes it from what it knows, and it moves nothing by itself: a partition is active where its lock is held.
///
/// ```swift
/// let plan = PartitionPlan(partitions: ["a", "b", "c"], nodes: ["web1", PartitionNode("web2", weight: 2)])
/// print(plan["a"]?.owner ?? "nobody", plan.explain("a") ?? "")
/// ```
///
/// - Complexity: O(*partitions* × *nodes*); 10,000 partitions over 100 nodes take some hundredths of a second.
public struct PartitionPlan: Sendable {
    /// By id, each one once.
    let partitions: [Partition]
    /// The nodes that may be given something, by name.
    let nodes: [PartitionNode]
    /// Of ``nodes``: those that are not there, but are waited for.
    let isAway: [Bool]
    let partitionHashes: [UInt64]
    let nodeHashes: [UInt64]
    let weights: [Double]
    let nodeIndices: [ZNodeName: Int]
    /// Those that may be given nothing because they are cordoned, by name.
    let cordoned: Set<ZNodeName>
    /// Places in ``nodes``; one entry for each partition.
    private(set) var places: [Place] = []

    /// Where a partition belongs: places in the list of nodes, -1 for nobody.
    struct Place: Sendable, Hashable {
        var home = -1
        var owner = -1
        var next = -1
    }

    /// Makes the plan.
    ///
    /// - Parameters:
    ///   - partitions: What is to be shared out; of several with one id the last counts.
    ///   - nodes: The group's nodes; those that are cordoned get nothing. Of several with one name the last counts.
    ///   - away: The names of nodes that have gone and are waited for: their places are kept, and meanwhile others own
    ///     their partitions.
    public init(partitions: [Partition], nodes: [PartitionNode], away: some Sequence<String> = EmptyCollection()) {
        let away = Set(names: away)
        let byName = Dictionary(nodes.map { (ZNodeName($0.name), $0) }) { $1 }
        let byID = Dictionary(partitions.map { (ZNodeName($0.id), $0) }) { $1 }
        self.partitions = byID.orderedValues
        self.nodes = byName.orderedValues.filter(\.takesPartitions)
        cordoned = Set(names: byName.values.lazy.filter { !$0.takesPartitions }.map(\.name))
        isAway = self.nodes.map { away.contains($0.name) }
        partitionHashes = self.partitions.map { PartitionScore.hash($0.id) }
        weights = self.nodes.map(\.weight)
        nodeHashes = self.nodes.map { PartitionScore.hash($0.name) }
        nodeIndices = Dictionary(uniqueKeysWithValues: self.nodes.enumerated().map { (ZNodeName($1.name), $0) })
        places = computed()
    }

    /// Where a partition belongs; `nil` for one that is not among the plan's.
    public subscript(partition: String) -> PartitionPlacement? {
        index(of: partition).map { PartitionPlacement(plan: self, index: $0) }
    }

    /// All partitions' places, by their ids.
    public var placements: [PartitionPlacement] {
        partitions.indices.map { PartitionPlacement(plan: self, index: $0) }
    }

    /// How many partitions each node should own now, by its name; cordoned nodes are left out.
    public var balance: [ZNodeName: Int] {
        var counts: [ZNodeName: Int] = [:]
        for index in nodes.indices where !isAway[index] { counts[nodes[index].name] = 0 }
        for place in places where place.owner >= 0 { counts[nodes[place.owner].name, default: 0] += 1 }
        return counts
    }

    /// Why a partition belongs where it does, in words; `nil` for one that is not among the plan's.
    public func explain(_ partition: String) -> String? { self[partition]?.description }

    /// The partition's nodes, those that are away included, the best first, whatever room they have.
    public func ranking(of partition: String) -> [String] {
        guard let index = index(of: partition) else { return [] }
        return ranking(at: index).map { nodes[$0].name }
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
