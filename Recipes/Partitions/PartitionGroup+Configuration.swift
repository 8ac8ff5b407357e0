extension PartitionGroup {
    /// The timing and the limits of one node of a ``PartitionGroup``.
    ///
    /// All nodes of a group should use the same configuration. If configurations differ, partitions move at different
    /// times; nothing else changes.
    public struct Configuration: Sendable, Hashable {
        /// The time for which the plan keeps the partitions of a node that has left the group.
        ///
        /// The next nodes in line own these partitions at once, and return them if the node comes back. Only after this
        /// time is the node removed from the plan. If no node has a capacity, the removal changes no owner. With
        /// capacities, the node's partitions are then spread over the nodes that have room. The time counts from the moment
        /// when this node saw the other one leave. Default: 60 s.
        public var absenceTimeout: Duration = .seconds(60)

        /// The time that a node must be in the group before it requests its partitions from their current owners.
        ///
        /// A longer time means fewer moves when a node joins and leaves repeatedly. A node takes partitions without an
        /// owner immediately. Default: 5 s.
        public var rebalanceDelay: Duration = .seconds(5)

        /// The time for which a node that joins observes the other members before it takes any partition.
        ///
        /// Without it, the first node of a fleet that starts together takes every partition. Default: 0 s.
        public var startupDelay: Duration = .zero

        /// The maximum number of partitions that this node requests from their owners in any 60 s; `nil` means no limit.
        ///
        /// Partitions that this node gets because their owner has left do not count. Default: `nil`.
        public var maximumMovesPerMinute: Int?

        /// The interval after which this node repeats a request to an owner that has not handed its partition over.
        ///
        /// It is an additional safeguard that should not be necessary. An owner hands a partition over as soon as its own
        /// plan agrees. An owner that keeps the partition is asked again after pauses that grow from 5 s to 5 min. If the
        /// value is `nil`, only these pauses apply. Default: `nil`.
        public var handOverRetryInterval: Duration?

        /// The maximum size of the watched paths of this node's candidates together, in bytes.
        ///
        /// The effective limit is at most nine tenths of what the client can watch, which is about its
        /// `ZooKeeperClientConfiguration.maximumPacketSize`. An owned partition takes the length of its candidate's path
        /// plus 4 bytes. A partition for which this node is next in line takes twice as much. With the default packet size,
        /// the path `/app/shards` and IDs of ten characters, the limit allows 10,000 owned partitions. Partitions beyond it
        /// are listed in ``PartitionGroupState/unwatchable`` and are active on the next node in line. Caches of the same client
        /// give way to candidates. Default: `Int.max`, which means nine tenths of what the client can watch.
        public var watchBudget = Int.max

        /// The pauses after a worker fails, and the handling of terms on graceful shutdown.
        ///
        /// The group ignores the settings for priority, takeover delay, transfers and readiness, and uses its own. Default:
        /// `LeaderConfiguration()`.
        public var leadership = LeaderConfiguration()

        /// Creates a configuration with the default values.
        public init() {}

        /// The validation error, or `nil` if the configuration is valid.
        var problem: String? {
            if absenceTimeout < .zero { return "absenceTimeout is \(absenceTimeout); it must not be negative" }
            if rebalanceDelay < .zero { return "rebalanceDelay is \(rebalanceDelay); it must not be negative" }
            if startupDelay < .zero { return "startupDelay is \(startupDelay); it must not be negative" }
            if watchBudget < 1 { return "watchBudget is \(watchBudget); it must be over 0" }
            if let maximumMovesPerMinute, maximumMovesPerMinute < 1 {
                return "maximumMovesPerMinute is \(maximumMovesPerMinute); it must be over 0"
            }
            if let handOverRetryInterval, handOverRetryInterval <= .zero {
                return "handOverRetryInterval is \(handOverRetryInterval); it must be over 0"
            }
            return nil
        }
    }
}

/// The source of a group's list of partitions.
public struct PartitionSource: Sendable, Hashable, ExpressibleByArrayLiteral {
    enum Kind: Hashable {
        case list([Partition])
        case children(String)
    }

    let kind: Kind

    /// Returns a source with a list that the program provides and can replace with
    /// ``PartitionGroup/setPartitions(_:)``.
    ///
    /// All nodes should use the same list. A partition that is unknown to both its home node and the next node in line
    /// is not active on any node.
    public static func list(_ partitions: [Partition]) -> PartitionSource { PartitionSource(kind: .list(partitions)) }

    /// Returns a source whose partitions are the children of a znode, and which follows the changes of these children.
    ///
    /// The data of each child is ``Partition/nodeData``. If the znode does not exist, there are no partitions.
    ///
    /// - Parameter path: The parent znode. It must not be the group's path, nor its `members`, `partitions` or
    ///   `cordons`.
    public static func children(of path: String) -> PartitionSource { PartitionSource(kind: .children(path)) }

    init(kind: Kind) {
        self.kind = kind
    }

    /// Creates a source with a fixed list.
    public init(arrayLiteral partitions: Partition...) {
        self.init(kind: .list(partitions))
    }
}
