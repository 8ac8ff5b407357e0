/// How patient a ``PartitionGroup`` is.
///
/// The nodes of a group should have the same; where they differ, partitions move at other times, and nothing else.
public struct PartitionConfiguration: Sendable, Hashable {
    /// For how long a node that has gone is waited for.
    ///
    /// Its partitions are active on the next in line at once, and go home when it comes back. Only after this time is it
    /// left out of the plan. Without capacities that changes no owner; with them, what the node had spreads over the nodes
    /// that have room. Counted from when this node saw the other one go. Default: 60 s.
    public var departureDelay: Duration = .seconds(60)

    /// For how long a node has to be up before it asks the owners for the partitions that it should have.
    ///
    /// The longer, the less does a node that comes and goes move. What nobody owns it takes at once. Default: 5 s.
    public var settleTime: Duration = .seconds(5)

    /// For how long a node that has come looks who else is there before it takes anything.
    ///
    /// When a whole fleet is started, the first node would otherwise take every partition. Default: 0.
    public var gatherTime: Duration = .zero

    /// The most partitions that a node asks others for in any minute; `nil` for no limit.
    ///
    /// What falls to it because an owner has gone is not counted. Default: `nil`.
    public var movesPerMinute: Int?

    /// After which time an owner that has not handed a partition over is asked once more, whatever else happens.
    ///
    /// Nothing should ever need it: an owner that is asked hands over as soon as its own plan says so, and one that goes on
    /// is asked again after pauses that grow from 5 s to 5 min. Default: `nil`, those alone.
    public var asksAgainAfter: Duration?

    /// What the watched paths of this node's places may take together, in bytes.
    ///
    /// Never more than nine tenths of what the client can watch, which is about its
    /// `ZooKeeperClientConfiguration.maximumPacketSize`. A partition that the node owns takes the length of its candidate's
    /// path and four, one that it is next in line for twice that: with the default packet size, for `/app/shards` and ids of
    /// ten characters, 10,000 owned ones fit. What does not is ``PartitionGroupState/refused`` here, and active on the next
    /// in line. Caches of the same client make way. Default: `Int.max`, those nine tenths.
    public var watchBudget = Int.max

    /// The pauses after a worker that has failed, and what becomes of terms at a graceful shutdown.
    ///
    /// Priorities and transfers are the group's own affair and are left aside.
    public var terms = LeaderConfiguration()

    /// Makes a configuration with these defaults.
    public init() {}

    /// What cannot be, or `nil`.
    var problem: String? {
        if departureDelay < .zero { return "departureDelay is \(departureDelay); it must not be negative" }
        if settleTime < .zero { return "settleTime is \(settleTime); it must not be negative" }
        if gatherTime < .zero { return "gatherTime is \(gatherTime); it must not be negative" }
        if watchBudget < 1 { return "watchBudget is \(watchBudget); it must be over 0" }
        if let movesPerMinute, movesPerMinute < 1 { return "movesPerMinute is \(movesPerMinute); it must be over 0" }
        if let asksAgainAfter, asksAgainAfter <= .zero {
            return "asksAgainAfter is \(asksAgainAfter); it must be over 0"
        }
        return nil
    }
}

/// Where a group learns which partitions there are.
public struct PartitionSource: Sendable, Hashable, ExpressibleByArrayLiteral {
    enum Kind: Hashable {
        case list([Partition])
        case children(String)
    }

    let kind: Kind

    /// The program says, and may say anew by ``PartitionGroup/setPartitions(_:)``.
    ///
    /// All nodes should say the same: a partition that neither its home nor the next in line knows is active nowhere.
    public static func list(_ partitions: [Partition]) -> PartitionSource { PartitionSource(kind: .list(partitions)) }

    /// The children of a znode, each a partition, with ``Partition/nodeData`` as data; followed as they come and go.
    ///
    /// A znode that does not stand has no partitions.
    public static func children(of path: String) -> PartitionSource { PartitionSource(kind: .children(path)) }

    init(kind: Kind) {
        self.kind = kind
    }

    /// A list.
    public init(arrayLiteral partitions: Partition...) {
        self.init(kind: .list(partitions))
    }
}
