import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The status of a partition group: its nodes, members or not, and its partitions.
struct PartitionReport: Sendable {
    /// A node that is a member, owns a partition or is cordoned.
    struct Node: Sendable {
        var id: String
        /// The member; `nil` if the node is not in the group.
        var member: PartitionNode?
        /// The number of partitions that it owns.
        var owned: Int
        /// The reason of an operator's cordon, which may be empty; `nil` if there is none.
        var cordon: String?

        /// Remarks about the node, such as its weight and its cordon.
        fileprivate var remarks: String {
            var text = "not a member"
            if let member {
                text = String(decoding: member.description.utf8.dropFirst(id.utf8.count + 2), as: UTF8.self)
            }
            guard let cordon else { return text }
            if member == nil { text += ", cordoned by an operator" }
            return cordon.isEmpty ? text : "\(text): \(cordon)"
        }
    }

    let status: PartitionStatus
    /// The nodes, by ID.
    let nodes: [Node]

    init(_ status: PartitionStatus) {
        self.status = status
        let balance = status.balance
        let known = Dictionary(status.nodes.map { (ZNodeName($0.id), $0) }) { first, _ in first }
        nodes = Set(balance.keys).union(status.cordons.keys).sorted().strings.map { id in
            let name = ZNodeName(id)
            return Node(id: id, member: known[name], owned: balance[name] ?? 0, cordon: status.cordons[name])
        }
    }

    /// The lines of the report: the nodes with the number of their partitions, then the partitions.
    var lines: [String] {
        let partitions = status.partitions.map { entry in
            [
                entry.partition, entry.owner ?? "none", entry.token.map { "\($0)" } ?? "-", "\(entry.terms)",
                entry.reason,
            ]
        }
        return Text.table(
            [["NODE", "OWNS", ""]] + nodes.map { [$0.id, "\($0.owned)", $0.remarks] }, rightAligned: [1])
            + [""]
            + Text.table([["PARTITION", "OWNER", "TOKEN", "TERMS", "BELONGS TO"]] + partitions, rightAligned: [2, 3])
    }
}
