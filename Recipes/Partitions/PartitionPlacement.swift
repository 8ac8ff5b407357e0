internal import ZooKeeper

/// Where a ``PartitionPlan`` puts one partition, and why.
public struct PartitionPlacement: Sendable, CustomStringConvertible {
    /// The rule by which a node was chosen.
    public enum Rule: Sendable, Hashable {
        /// The node is in the partition's list of preferred nodes, at this place, counted from 0.
        case preferred(Int)
        /// The partition's hash fits the node best, of all nodes by their weights.
        case hash
        /// There is no node that may be given anything.
        case noNode
        /// No node has room for it.
        case noRoom
    }

    private let plan: PartitionPlan
    private let index: Int

    init(plan: PartitionPlan, index: Int) {
        self.plan = plan
        self.index = index
    }

    private var place: PartitionPlan.Place { plan.places[index] }
    private func name(_ node: Int) -> String? { node < 0 ? nil : plan.nodes[node].name }

    /// The partition.
    public var partition: Partition { plan.partitions[index] }
    /// Who should own it, which may be away; `nil` when nobody can.
    public var home: String? { name(place.home) }
    /// Who should own it of those that are there.
    public var owner: String? { name(place.owner) }
    /// Who is next in line of those that are there.
    public var next: String? { name(place.next) }
    /// Whether the home has gone and is waited for.
    public var isHomeAway: Bool { place.home >= 0 && plan.isAway[place.home] }

    /// The rule that chose the home.
    ///
    /// - Complexity: O(*preferred nodes*).
    public var rule: Rule {
        guard let home else { return plan.nodes.isEmpty ? .noNode : .noRoom }
        return partition.preferred.firstIndex { $0.hasBytes(of: home) }.map { .preferred($0) } ?? .hash
    }

    /// The nodes that fit it better than its home, but have no room.
    ///
    /// - Complexity: O(*nodes*).
    public var full: [String] {
        let ranking = plan.ranking(at: index)
        return ranking.prefix { $0 != place.home }.map { plan.nodes[$0].name }
    }

    /// The preferred nodes that come before the home, and are not in the group or cordoned.
    public var missing: [String] {
        let before = partition.preferred.prefix { name in home.map { !name.hasBytes(of: $0) } ?? true }
        return before.filter { plan.nodeIndices[$0] == nil }
    }

    /// Where it belongs, who is next, and why, in one line.
    public var description: String {
        guard let home else {
            return rule == .noNode
                ? "nobody: there is no node, or all are cordoned" : "nobody: all nodes are full (\(plan.nodes.count))"
        }
        var text = isHomeAway ? "\(owner ?? "nobody") in the place of \(home), which is waited for" : home
        switch rule {
        case .preferred(let place): text += ": preferred node \(place + 1) of \(partition.preferred.count)"
        default: text += ": by hash and weight, of \(plan.nodes.count) nodes"
        }
        let missing = missing
        let cordoned = missing.filter(plan.cordoned.contains)
        let absent = missing.filter { !plan.cordoned.contains($0) }
        if !cordoned.isEmpty { text += "; cordoned: \(cordoned.joined(separator: ", "))" }
        if !absent.isEmpty { text += "; not there: \(absent.joined(separator: ", "))" }
        let full = full
        if !full.isEmpty { text += "; full: \(full.joined(separator: ", "))" }
        return text + "; next: \(next ?? "nobody")"
    }
}
