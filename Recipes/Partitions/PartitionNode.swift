public import ZooKeeper

/// What a node says of itself to the others of its group.
///
/// A string literal is a node of weight 1 without a limit.
public struct PartitionNode: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// What names it: a znode's name, the same after a restart, so that it gets the same partitions again.
    @ZNodeName public var name: String
    /// How much it takes, compared with the others: a node of weight 2 gets twice the partitions of one of weight 1.
    public var weight: Double
    /// The most partitions that it is to have; `nil` for no limit.
    ///
    /// What has no room goes to the next best node. For as long as a node that has gone is waited for, its partitions may
    /// bring others over their capacity.
    public var capacity: Int?
    /// Whether it says itself that it is to have none: what it has moves away, in order.
    public var isCordoned: Bool
    /// Whether an operator says so, by ``PartitionGroup/cordon(_:note:at:client:)``.
    ///
    /// It is no part of what a node tells of itself: a group's nodes find the mark beside it.
    public var isCordonedByOperator = false

    /// Makes a node that no operator has cordoned.
    public init(_ name: String, weight: Double = 1, capacity: Int? = nil, isCordoned: Bool = false) {
        self.name = name
        self.weight = weight
        self.capacity = capacity
        self.isCordoned = isCordoned
    }

    /// Whether it may be given partitions: nobody has cordoned it.
    public var takesPartitions: Bool { !isCordoned && !isCordonedByOperator }

    /// Makes a node of weight 1 without a limit.
    public init(stringLiteral name: String) {
        self.init(name)
    }

    /// The name, and what is not usual.
    public var description: String {
        var text = name
        if weight != 1 { text += ", weight \(weight)" }
        if let capacity { text += ", capacity \(capacity)" }
        if isCordoned { text += ", cordoned" }
        if isCordonedByOperator { text += ", cordoned by an operator" }
        return text
    }

    /// What cannot be, or `nil`.
    var problem: String? {
        if let problem = Self.problem(ofName: name) { return problem }
        if !(weight.isFinite && weight > 0) { return "weight is \(weight); it must be over 0" }
        if let capacity, capacity < 0 { return "capacity is \(capacity); it must not be negative" }
        return nil
    }

    /// Why a node cannot have a name, or `nil`.
    package static func problem(ofName name: String) -> String? {
        if let refusal = ZNodeName.refusal(of: name, as: "node name") { return refusal }
        guard name.utf8.contains(UInt8(ascii: ",")) else { return nil }
        return "node name \"\(name)\" has a comma, which separates names in lists of preferred nodes; replace it"
    }
}

// What a member's znode says.
extension PartitionNode {
    /// Reads what a member tells of itself; what it does not tell, or not rightly, is as usual.
    init(name: String, data: [UInt8]) {
        let text = NodeText(data)
        self.init(
            name, weight: text["weight"].flatMap(Double.init) ?? 1, capacity: text["capacity"].flatMap { Int($0) },
            isCordoned: text["cordoned"] == "yes")
        if !(weight.isFinite && weight > 0) { weight = 1 }
        if let capacity, capacity < 0 { self.capacity = 0 }
    }

    var bytes: [UInt8] {
        var text = NodeText()
        text["weight"] = String(weight)
        text["capacity"] = capacity.map { String($0) }
        text["cordoned"] = isCordoned ? "yes" : "no"
        return text.bytes
    }
}
