internal import ZooKeeper

/// Who is in the group, and who has gone but is waited for.
struct PartitionRoster: Sendable {
    private let delay: Duration
    /// This node, which is always there for itself.
    var own: PartitionNode
    private(set) var others: [ZNodeName: PartitionNode] = [:]
    private var away: [ZNodeName: (node: PartitionNode, until: MonotonicInstant)] = [:]
    /// The nodes that operators have cordoned, whether they are there or not; `nil` before that is known.
    private(set) var cordons: Set<ZNodeName>?

    init(own: PartitionNode, delay: Duration) {
        self.own = own
        self.delay = delay
    }

    /// Takes a new list of who is there.
    ///
    /// - Returns: Whether anything has changed.
    mutating func update(_ members: [PartitionNode], now: MonotonicInstant) -> Bool {
        var present = Dictionary(members.map { (ZNodeName($0.name), $0) }) { $1 }
        present[own.name] = nil
        guard present != others else { return false }
        // A cordoned node had nothing that is to be kept for it.
        for (name, node) in others where present[name] == nil && marked(node).takesPartitions && delay > .zero {
            away[name] = (node, now + delay)
        }
        for name in present.keys { away[name] = nil }
        others = present
        return true
    }

    /// Takes a new list of whom operators have cordoned.
    ///
    /// - Returns: Whether anything has changed.
    mutating func update(cordons: Set<ZNodeName>) -> Bool {
        defer { self.cordons = cordons }
        return cordons != self.cordons
    }

    /// Forgets those that have been away for too long.
    ///
    /// - Returns: Whether there was one.
    mutating func expire(now: MonotonicInstant) -> Bool {
        let gone = away.filter { $0.value.until <= now }
        for name in gone.keys { away[name] = nil }
        return !gone.isEmpty
    }

    /// When the next one is forgotten.
    var nextExpiry: MonotonicInstant? { away.values.map(\.until).min() }

    var isAnybodyAway: Bool { !awayNames.isEmpty }

    /// Those that are waited for: nothing is kept for one that has been cordoned since it went.
    var awayNames: Set<ZNodeName> { Set(away.keys).subtracting(cordons ?? []) }

    /// This node, with what operators say of it.
    var ownMarked: PartitionNode { marked(own) }

    /// Those that are there, this node among them.
    var present: [PartitionNode] { (others.orderedValues + [own]).map(marked) }

    /// Those that are there, and those that are waited for.
    var counted: [PartitionNode] { present + away.orderedValues.map { marked($0.node) } }

    private func marked(_ node: PartitionNode) -> PartitionNode {
        var node = node
        node.isCordonedByOperator = cordons?.contains(node.name) == true
        return node
    }
}

/// How many partitions may be asked for: a number in any minute.
struct MoveBudget: Sendable {
    private let limit: Int?
    /// When the last ones were taken, oldest first.
    private var taken: [MonotonicInstant] = []

    init(limit: Int?) {
        self.limit = limit
    }

    /// Takes one, if there is one.
    mutating func take(now: MonotonicInstant) -> Bool {
        guard let limit else { return true }
        taken.removeAll { $0 + .seconds(60) <= now }
        guard taken.count < limit else { return false }
        taken.append(now)
        return true
    }

    /// When there is one again.
    var next: MonotonicInstant? { taken.first.map { $0 + .seconds(60) } }
}
