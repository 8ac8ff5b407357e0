internal import ZooKeeper

/// The placement of one partition in a ``PartitionPlan``, and the reason for it.
public struct PartitionPlacement: Sendable, CustomStringConvertible {
    /// The rule that selected the home node.
    public enum Rule: Sendable, Hashable {
        /// The home node is in the partition's list of preferred nodes, at this index, which counts from 0.
        case preferred(Int)
        /// The home node is the best one by hash and weight.
        case hash
        /// No node may take partitions: there is no node, or all are cordoned.
        case noNode
        /// No node has room for the partition.
        case noRoom
    }

    private let plan: PartitionPlan
    private let index: Int

    init(plan: PartitionPlan, index: Int) {
        self.plan = plan
        self.index = index
    }

    private var place: PartitionPlan.Place { plan.places[index] }
    private func name(_ node: Int) -> String? { node < 0 ? nil : plan.nodes[node].id }

    /// The partition.
    public var partition: Partition { plan.partitions[index] }
    /// The participant ID of the node that should own the partition, which may be absent; `nil` if no node can own it.
    public var home: String? { name(place.home) }
    /// The participant ID of the node that should own the partition among the present nodes; `nil` if there is none.
    public var owner: String? { name(place.owner) }
    /// The participant ID of the next node in line among the present nodes; `nil` if there is none.
    public var next: String? { name(place.next) }
    /// Whether the home node has left, and the plan keeps its partitions.
    public var isHomeAway: Bool { place.home >= 0 && plan.isAway[place.home] }

    /// The rule that selected the home node.
    ///
    /// - Complexity: O(*preferred nodes*).
    public var rule: Rule {
        guard let home else { return plan.nodes.isEmpty ? .noNode : .noRoom }
        return partition.preferred.firstIndex { $0.hasBytes(of: home) }.map { .preferred($0) } ?? .hash
    }

    /// The participant IDs of the nodes that fit the partition better than its home node, but have no room.
    ///
    /// - Complexity: O(*nodes*).
    public var fullNodes: [String] {
        let ranking = plan.ranking(at: index)
        return ranking.prefix { $0 != place.home }.map { plan.nodes[$0].id }
    }

    /// The preferred nodes before the home node that are cordoned or not in the group.
    public var missingNodes: [String] {
        let before = partition.preferred.prefix { name in home.map { !name.hasBytes(of: $0) } ?? true }
        return before.filter { plan.nodeIndices[$0] == nil }
    }

    /// The owner, the next node in line and the reason, in one line.
    public var description: String {
        guard let home else {
            return rule == .noNode
                ? "no node: the group is empty, or all nodes are cordoned"
                : "no node: \(plan.nodes.count == 1 ? "the only one is" : "all \(plan.nodes.count) are") full"
        }
        var text = isHomeAway ? "\(owner ?? "no node") while \(home) is absent" : home
        switch rule {
        case .preferred(let place): text += ": preferred node \(place + 1) of \(partition.preferred.count)"
        default: text += ": by hash and weight, of \(plan.nodes.count) \(noun("node", for: plan.nodes.count))"
        }
        let missing = missingNodes
        let cordoned = missing.filter(plan.cordoned.contains)
        let absent = missing.filter { !plan.cordoned.contains($0) }
        if !cordoned.isEmpty { text += "; cordoned: \(cordoned.joined(separator: ", "))" }
        if !absent.isEmpty { text += "; absent: \(absent.joined(separator: ", "))" }
        let full = fullNodes
        if !full.isEmpty { text += "; full: \(full.joined(separator: ", "))" }
        return text + "; next: \(next ?? "none")"
    }
}
