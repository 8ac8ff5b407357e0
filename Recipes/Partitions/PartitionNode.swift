public import ZooKeeper

/// A node of a group: its participant ID, weight, capacity and cordons.
///
/// A string literal makes a node with weight 1 and no capacity limit.
public struct PartitionNode: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The node's participant ID: a valid znode name without commas.
    ///
    /// Use the same ID after a restart, so that the node gets the same partitions again.
    @ZNodeName public var id: String
    /// The node's share relative to the others: weight 2 gets twice as many partitions as weight 1.
    public var weight: Double
    /// The maximum number of partitions that the plan assigns to the node; `nil` means no limit.
    ///
    /// A partition that does not fit goes to its next best node. While the plan keeps the partitions of a node that has
    /// left, those partitions may bring other nodes over their capacity.
    public var capacity: Int?
    /// Whether the node has cordoned itself: it takes no partitions, and hands over those it owns.
    public var isCordoned: Bool
    /// Whether an operator has cordoned the node with ``PartitionGroup/cordon(_:client:path:reason:)``.
    ///
    /// This value is not part of the member znode. The group's nodes read it from the operators' cordons.
    public var isCordonedByOperator = false

    /// Creates a node that no operator has cordoned.
    ///
    /// - Parameters:
    ///   - id: The node's participant ID.
    ///   - weight: The node's share relative to the others; it must be over 0. Default: 1.
    ///   - capacity: The maximum number of partitions; `nil` means no limit. Default: `nil`.
    ///   - isCordoned: Whether the node cordons itself. Default: `false`.
    public init(_ id: String, weight: Double = 1, capacity: Int? = nil, isCordoned: Bool = false) {
        self.id = id
        self.weight = weight
        self.capacity = capacity
        self.isCordoned = isCordoned
    }

    /// Whether the plan may assign partitions to the node: neither the node nor an operator has cordoned it.
    public var takesPartitions: Bool { !isCordoned && !isCordonedByOperator }

    /// Creates a node with weight 1 and no capacity limit.
    public init(stringLiteral name: String) {
        self.init(name)
    }

    /// The participant ID, and all values that differ from their defaults.
    public var description: String {
        var text = id
        if weight != 1 { text += ", weight \(weight)" }
        if let capacity { text += ", capacity \(capacity)" }
        if isCordoned { text += ", cordoned" }
        if isCordonedByOperator { text += ", cordoned by an operator" }
        return text
    }

    /// The validation error, or `nil` if the node is valid.
    var problem: String? {
        if let problem = Self.problem(ofName: id) { return problem }
        if !(weight.isFinite && weight > 0) { return "weight is \(weight); it must be over 0" }
        if let capacity, capacity < 0 { return "capacity is \(capacity); it must not be negative" }
        return nil
    }

    /// Returns the reason why a participant ID is invalid, or `nil` if it is valid.
    package static func problem(ofName name: String) -> String? {
        if let refusal = ZNodeName.refusal(of: name, as: "node name") { return refusal }
        guard name.utf8.contains(UInt8(ascii: ",")) else { return nil }
        return "node name \"\(name)\" has a comma, which separates names in lists of preferred nodes; replace it"
    }
}

// The content of a member znode.
extension PartitionNode {
    /// Parses the data of a member znode.
    ///
    /// A missing or invalid weight is read as 1, a missing or invalid capacity as no limit. A negative capacity is read
    /// as 0.
    init(name: String, data: [UInt8]) {
        let text = KeyValueData(data)
        self.init(
            name, weight: text["weight"].flatMap(Double.init) ?? 1, capacity: text["capacity"].flatMap { Int($0) },
            isCordoned: text["cordoned"] == "yes")
        if !(weight.isFinite && weight > 0) { weight = 1 }
        if let capacity, capacity < 0 { self.capacity = 0 }
    }

    /// Whether the data are those of a node's member znode, and not of a member of another recipe.
    static func isRecord(_ data: [UInt8]) -> Bool {
        let text = KeyValueData(data)
        return text["weight"] != nil && text["cordoned"] != nil
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["weight"] = String(weight)
        text["capacity"] = capacity.map { String($0) }
        text["cordoned"] = isCordoned ? "yes" : "no"
        return text.bytes
    }
}
