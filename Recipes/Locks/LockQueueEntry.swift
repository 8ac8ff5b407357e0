public import ZooKeeper

/// Somebody in a lock's queue, who holds the lock or waits for it.
public struct LockQueueEntry: Sendable, Hashable {
    /// What somebody is in a queue for.
    public struct Kind: Sendable, Hashable, CustomStringConvertible {
        enum Value: Hashable { case mutex, read, write, lease }

        let value: Value

        /// To be the only one, in a mutex.
        public static let mutex = Kind(value: .mutex)
        /// To read, together with others.
        public static let read = Kind(value: .read)
        /// To write, alone.
        public static let write = Kind(value: .write)

        /// To have one of a semaphore's leases.
        public static let lease = Kind(value: .lease)

        /// The kind's name.
        public var description: String { "\(value)" }
    }

    /// The znode.
    @ZNodeName public var path: String
    /// What it is in the queue for.
    public var kind: Kind
    /// The place in the queue, from 0.
    public var position: Int
    /// Whether nobody in front keeps it waiting: it has the lock, or will learn in a moment that it has.
    public var isHolder: Bool
    /// The holder's or waiter's fencing token, if the znode is not that of a downgraded lock; `nil` when it was not found
    /// out, because the znode may not be read.
    public var token: FencingToken?
    /// When it joined the queue: time since 1970 by the server's clock, in whole milliseconds.
    public var since: Duration?
    /// Who it is, as it says itself; Apache Curator writes an address here.
    public var ownerName: String
    /// What belongs to the lock; where the znode holds a name or data alone, the znode's data.
    public var data: [UInt8]
    /// The session that the znode belongs to.
    public var session: SessionID?
    /// Whether it is one of this client's, by its present session.
    public var isOwn: Bool
}

extension LockQueueEntry {
    /// Lists a queue, however long the ensemble is away; those that vanish while they are read are left out.
    static func list(_ directory: String, client: ZooKeeperClient) async throws -> [LockQueueEntry] {
        try await list(directory, client: client) { name in
            ContenderName(name).map { Found(name: name, number: $0.number, kind: Kind($0.kind)) }
        }
    }

    /// Lists a semaphore's leases.
    static func listLeases(_ directory: String, client: ZooKeeperClient) async throws -> [LockQueueEntry] {
        try await list(directory, client: client) { name in
            SemaphoreRoom.isLease(name) ? Found(name: name, number: Int32(name.suffix(10)) ?? .max, kind: .lease) : nil
        }
    }

    private static func list(
        _ directory: String, client: ZooKeeperClient, _ recognize: (String) -> Found?
    ) async throws -> [LockQueueEntry] {
        try await client.recipeSteps { try await read(directory, client: client, recognize) }
    }

    private static func read(
        _ directory: String, client: ZooKeeperClient, _ recognize: (String) -> Found?
    ) async throws -> [LockQueueEntry] {
        let children = try await client.childrenWithData(of: directory) { recognize($0) != nil }
        let found = children.compactMap { child in
            recognize(child.name).map { found in
                var found = found
                (found.data, found.stat) = (child.data ?? [], child.stat)
                return found
            }
        }
        return entries(found, in: directory, session: client.session?.id)
    }

    /// Somebody who was found in a directory; without a stat before it was read.
    struct Found: Sendable {
        var name: String
        var number: Int32
        var kind: Kind
        var stat: ZNodeStat?
        var data: [UInt8] = []
    }

    /// Puts what was read in order, and says who holds.
    static func entries(_ found: [Found], in directory: String, session: SessionID?) -> [LockQueueEntry] {
        let ordered = found.sorted { left, right in
            (left.number, left.stat?.czxid.rawValue ?? 0, ZNodeName(left.name))
                < (right.number, right.stat?.czxid.rawValue ?? 0, ZNodeName(right.name))
        }
        var kindsInFront: Set<ContenderName.Kind> = []
        return ordered.enumerated().map { position, found in
            let isHolder =
                found.kind.policy.map { policy in !kindsInFront.contains { policy.conflicts(with: $0) } } ?? true
            if let policy = found.kind.policy { kindsInFront.insert(policy.kind) }
            let text = LockData(found.data)
            return LockQueueEntry(
                path: found.path(in: directory), kind: found.kind, position: position, isHolder: isHolder,
                token: (found.stat?.czxid.rawValue).map(FencingToken.init),
                since: found.stat?.ctime, ownerName: text.ownerName, data: text.data,
                session: found.stat?.ephemeralOwner,
                isOwn: session != nil && found.stat?.ephemeralOwner == session)
        }
    }
}

extension LockQueueEntry.Kind {
    /// What it waits for; `nil` for a lease, which waits for nothing.
    fileprivate var policy: ContenderPolicy? {
        switch value {
        case .mutex: .exclusive(.lock)
        case .read: .read
        case .write: .write
        case .lease: nil
        }
    }

    init(_ kind: ContenderName.Kind) {
        self = kind == .read ? .read : kind == .write ? .write : .mutex
    }
}

extension LockQueueEntry.Found {
    func path(in directory: String) -> String { ZNodePath.child(name, of: directory) }
}
