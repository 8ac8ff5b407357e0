public import ZooKeeper

/// One of the things that a group of nodes shares out among itself: a shard, a topic's partition, a tenant.
///
/// A string literal is a partition without preferences:
///
/// ```swift
/// let partitions: [Partition] = ["orders", Partition("billing", preferred: ["web3", "web4"])]
/// ```
public struct Partition: Sendable, Hashable, Identifiable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// What names it: a znode's name.
    @ZNodeName public var id: String
    /// The nodes that it should be on, the best first, whatever their weights.
    ///
    /// When none of them is there, or has room, it goes where its hash says.
    public var preferred: [String]

    /// Makes a partition.
    public init(_ id: String, preferred: [String] = []) {
        self.id = id
        self.preferred = preferred
    }

    /// Makes a partition without preferences.
    public init(stringLiteral id: String) {
        self.init(id)
    }

    /// The id.
    public var description: String { id }

    /// Whether two partitions have the same bytes as ids and as preferred nodes.
    public static func == (left: Partition, right: Partition) -> Bool {
        left._id == right._id && left.preferred.elementsEqual(right.preferred) { $0.hasBytes(of: $1) }
    }

    /// Hashes the id's bytes.
    public func hash(into hasher: inout Hasher) { hasher.combine(_id) }

    /// Why the id cannot be a partition's, or `nil`: it is a znode's name, and beside that are others made of it.
    package var problem: String? {
        if let refusal = ZNodeName.refusal(of: id, as: "partition id") { return refusal }
        for ending in ["-epoch", "-requests"] where id.hasByteSuffix(ending) {
            return "partition id \"\(id)\" ends with \(ending), as the znodes beside a partition's do; choose another"
        }
        return nil
    }
}

// What a partition's znode says, where the partitions are the children of one.
extension Partition {
    init(id: String, data: [UInt8]) {
        self.init(id, preferred: Self.names(NodeText(data)["preferred"]))
    }

    /// The data of a znode that stands for this partition, below the one whose children are the partitions.
    ///
    /// One line `preferred=web3,web4`; nothing when there are no preferences.
    public var nodeData: [UInt8] {
        guard !preferred.isEmpty else { return [] }
        var text = NodeText()
        text["preferred"] = preferred.joined(separator: ",")
        return text.bytes
    }

    private static func names(_ text: String?) -> [String] {
        // By scalars: a name may begin with one that makes a single character of itself and the comma.
        (text ?? "").unicodeScalars.split(separator: ",").map { name in
            String(String.UnicodeScalarView(name.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()))
        }
    }
}
