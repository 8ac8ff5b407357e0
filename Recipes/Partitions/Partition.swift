public import ZooKeeper

/// A unit of work that a ``PartitionGroup`` assigns to one of its nodes: a shard, a partition of a topic, a tenant.
///
/// A string literal makes a partition without preferred nodes:
///
/// ```swift
/// let partitions: [Partition] = ["orders", Partition("billing", preferred: ["web3", "web4"])]
/// ```
public struct Partition: Sendable, Hashable, Identifiable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The partition's ID, which is also the name of its znode.
    @ZNodeName public var id: String
    /// The participant IDs of the nodes that should own the partition, the most preferred first.
    ///
    /// Preferences take precedence over weights. If no preferred node is present and has room, the partition's hash
    /// decides.
    public var preferred: [String]

    /// Creates a partition.
    ///
    /// - Parameters:
    ///   - id: The partition's ID: a valid znode name that does not end with `-epoch` or `-requests`. It is checked by
    ///     ``PartitionGroup/init(client:path:node:partitions:configuration:logger:warmUp:worker:)`` and
    ///     ``PartitionGroup/setPartitions(_:)``.
    ///   - preferred: The participant IDs of the preferred nodes, the most preferred first. Default: none.
    public init(_ id: String, preferred: [String] = []) {
        self.id = id
        self.preferred = preferred
    }

    /// Creates a partition without preferred nodes.
    public init(stringLiteral id: String) {
        self.init(id)
    }

    /// The partition's ID.
    public var description: String { id }

    /// Returns whether two partitions have the same ID and the same preferred nodes, compared byte by byte.
    public static func == (left: Partition, right: Partition) -> Bool {
        left._id == right._id && left.preferred.elementsEqual(right.preferred) { $0.hasBytes(of: $1) }
    }

    /// Hashes the bytes of the ID.
    public func hash(into hasher: inout Hasher) { hasher.combine(_id) }

    /// The reason why the ID is invalid, or `nil` if it is valid.
    ///
    /// An ID must be a valid znode name. It must not end like the znodes that are created next to a partition's
    /// election.
    package var problem: String? {
        if let refusal = ZNodeName.refusal(of: id, as: "partition id") { return refusal }
        for ending in ["-epoch", "-requests"] where id.hasByteSuffix(ending) {
            return "partition id \"\(id)\" ends with \(ending), which is reserved for other znodes; choose another"
        }
        return nil
    }
}

// The content of a partition's znode, for groups whose partitions are the children of a znode.
extension Partition {
    init(id: String, data: [UInt8]) {
        self.init(id, preferred: Self.names(KeyValueData(data)["preferred"]))
    }

    /// The data of this partition's znode, for groups whose partitions are the children of a znode.
    ///
    /// The data is one line such as `preferred=web3,web4`. It is empty if the partition has no preferred nodes.
    public var nodeData: [UInt8] {
        guard !preferred.isEmpty else { return [] }
        var text = KeyValueData()
        text["preferred"] = preferred.joined(separator: ",")
        return text.bytes
    }

    private static func names(_ text: String?) -> [String] {
        // Splits by Unicode scalars: if a name starts with a combining scalar, the comma and that scalar are one
        // character.
        (text ?? "").unicodeScalars.split(separator: ",").map { name in
            String(String.UnicodeScalarView(name.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()))
        }
    }
}
