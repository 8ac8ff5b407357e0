internal import ZooKeeper

/// A snapshot of what one node of a ``PartitionGroup`` knows and owns.
public struct PartitionGroupState: Sendable {
    /// The members of the group including this node, sorted by participant ID.
    public var nodes: [PartitionNode] = []
    /// The participant IDs of nodes that have left and whose partitions the plan still keeps, sorted.
    public var absent: [String] = []
    /// The current plan; `nil` before this node has joined the group.
    public var plan: PartitionPlan?
    /// The IDs of the partitions that this node owns, sorted.
    ///
    /// The list may be out of date. ``Term/isValid`` of a partition's term is authoritative.
    public var owned: [String] = []
    /// The IDs of the partitions in whose elections this node takes part, sorted: those it owns or waits for.
    public var queued: [String] = []
    /// The IDs of the partitions that this node should own and does not own yet, sorted.
    public var pending: [String] = []
    /// The IDs of the partitions whose elections this node should join and cannot, sorted.
    ///
    /// The session cannot watch that many znodes; see ``PartitionGroup/Configuration/watchBudget``.
    public var unwatchable: [String] = []
    /// The number of partitions that this node has gained and lost.
    public var moves = PartitionMoves()
    /// Whether this node is cordoned, by itself or by an operator.
    public var isCordoned: Bool
    /// Whether this node owns exactly the partitions that its plan assigns to it.
    public var isSettled = false

    init(node: PartitionNode) {
        nodes = [node]
        isCordoned = !node.takesPartitions
    }

    /// Creates the state of a node that has not joined yet, for tests.
    public init() {
        isCordoned = false
    }

    init(_ machine: PartitionGroupStateMachine) {
        nodes = machine.roster.present.sorted { ZNodeName($0.id) < ZNodeName($1.id) }
        absent = machine.roster.awayNames.sorted().strings
        plan = machine.plan
        queued = machine.seats.keys.sorted().strings
        owned = queued.filter { machine.seats[$0]?.isLeading == true }
        pending = queued.filter { machine.roles[$0] == .owner && machine.seats[$0]?.isLeading != true }
        unwatchable = machine.refused.sorted().strings
        moves = machine.moves
        isCordoned = !machine.roster.ownMarked.takesPartitions
        isSettled =
            plan != nil && pending.isEmpty && owned.allSatisfy { machine.roles[$0] == .owner }
            && machine.roles.allSatisfy { $1 == .next || machine.seats[$0] != nil }
    }
}
