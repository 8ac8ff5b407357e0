internal import ZooKeeper

/// What one node of a ``PartitionGroup`` knows and has at one moment.
public struct PartitionGroupState: Sendable {
    /// Who is in the group, this node among them, by name.
    public var nodes: [PartitionNode] = []
    /// The nodes that have gone and are waited for, by name.
    public var away: [String] = []
    /// Who should have what; `nil` before this node has joined the group.
    public var plan: PartitionPlan?
    /// The partitions that this node owns, by id, as far as it knows; `isValid` of a ``Term`` is what counts.
    public var owned: [String] = []
    /// The partitions in whose queues it stands, by id: those that it owns, and those that it is next in line for.
    public var standing: [String] = []
    /// The partitions that should be here and are owned by others, by id.
    public var wanted: [String] = []
    /// The partitions in whose queues it should stand and does not, by id, because a session cannot watch that many znodes:
    /// ``PartitionConfiguration/watchBudget``.
    public var refused: [String] = []
    /// How often partitions have come and gone.
    public var moves = PartitionMoves()
    /// Whether this node is cordoned, by itself or by an operator.
    public var isCordoned: Bool
    /// Whether this node owns what its plan wants it to, and nothing else.
    public var isSettled = false

    init(node: PartitionNode) {
        nodes = [node]
        isCordoned = !node.takesPartitions
    }

    /// Makes a state of one node that has not joined yet, for tests.
    public init() {
        isCordoned = false
    }

    init(_ machine: PartitionGroupStateMachine) {
        nodes = machine.roster.present.sorted { ZNodeName($0.name) < ZNodeName($1.name) }
        away = machine.roster.awayNames.sorted().strings
        plan = machine.plan
        standing = machine.seats.keys.sorted().strings
        owned = standing.filter { machine.seats[$0]?.isLeading == true }
        wanted = standing.filter { machine.roles[$0] == .owner && machine.seats[$0]?.isLeading != true }
        refused = machine.refused.sorted().strings
        moves = machine.moves
        isCordoned = !machine.roster.ownMarked.takesPartitions
        isSettled =
            plan != nil && wanted.isEmpty && owned.allSatisfy { machine.roles[$0] == .owner }
            && machine.roles.allSatisfy { $1 == .next || machine.seats[$0] != nil }
    }
}
