internal import ZooKeeper

/// The nodes that are in the group, and those that have left and may come back.
struct PartitionRoster: Sendable {
    private let delay: Duration
    /// This node, which the roster always contains.
    var own: PartitionNode
    private(set) var others: [ZNodeName: PartitionNode] = [:]
    private var away: [ZNodeName: (node: PartitionNode, until: MonotonicInstant)] = [:]
    /// The participant IDs that operators have cordoned, present or not; `nil` before the cordons have been read.
    private(set) var cordons: Set<ZNodeName>?

    init(own: PartitionNode, delay: Duration) {
        self.own = own
        self.delay = delay
    }

    /// Replaces the list of present members.
    ///
    /// - Returns: Whether anything has changed.
    mutating func update(_ members: [PartitionNode], now: MonotonicInstant) -> Bool {
        var present = Dictionary(members.map { (ZNodeName($0.id), $0) }) { $1 }
        present[own.id] = nil
        guard present != others else { return false }
        // Nothing is kept for a cordoned node, because the plan has not assigned anything to it.
        for (name, node) in others where present[name] == nil && marked(node).takesPartitions && delay > .zero {
            away[name] = (node, now + delay)
        }
        for name in present.keys { away[name] = nil }
        others = present
        return true
    }

    /// Replaces the set of nodes that operators have cordoned.
    ///
    /// - Returns: Whether anything has changed.
    mutating func update(cordons: Set<ZNodeName>) -> Bool {
        defer { self.cordons = cordons }
        return cordons != self.cordons
    }

    /// Removes the nodes that have been away for too long.
    ///
    /// - Returns: Whether a node was removed.
    mutating func expire(now: MonotonicInstant) -> Bool {
        let gone = away.filter { $0.value.until <= now }
        for name in gone.keys { away[name] = nil }
        return !gone.isEmpty
    }

    /// The time at which the next absent node is removed.
    var nextExpiry: MonotonicInstant? { away.values.map(\.until).min() }

    var isAnybodyAway: Bool { !awayNames.isEmpty }

    /// The participant IDs of the absent nodes whose partitions the plan keeps, without those cordoned since they left.
    var awayNames: Set<ZNodeName> { Set(away.keys).subtracting(cordons ?? []) }

    /// This node, with the operators' cordon.
    var ownMarked: PartitionNode { marked(own) }

    /// The present nodes including this one.
    var present: [PartitionNode] { (others.orderedValues + [own]).map(marked) }

    /// The present nodes, and the absent nodes whose partitions the plan keeps.
    var counted: [PartitionNode] { present + away.orderedValues.map { marked($0.node) } }

    private func marked(_ node: PartitionNode) -> PartitionNode {
        var node = node
        node.isCordonedByOperator = cordons?.contains(node.id) == true
        return node
    }
}

/// A limit on the number of requested partitions in any 60 s.
struct MoveBudget: Sendable {
    private let limit: Int?
    /// The times of the last requests, oldest first.
    private var taken: [MonotonicInstant] = []

    init(limit: Int?) {
        self.limit = limit
    }

    /// Charges one request if the limit allows it, and returns whether it does.
    mutating func take(now: MonotonicInstant) -> Bool {
        guard let limit else { return true }
        taken.removeAll { $0 + .seconds(60) <= now }
        guard taken.count < limit else { return false }
        taken.append(now)
        return true
    }

    /// The time at which the next request is allowed if the limit is reached.
    var next: MonotonicInstant? { taken.first.map { $0 + .seconds(60) } }
}
