public import ZooKeeper

/// A participant in the queue of a lock: a holder, or a waiting participant.
public struct LockQueueEntry: Sendable, Hashable {
    /// The kind of access that a participant has or waits for.
    public struct Kind: Sendable, Hashable, CustomStringConvertible {
        enum Value: Hashable { case mutex, read, write, lease }

        let value: Value

        /// Exclusive access, in a mutex.
        public static let mutex = Kind(value: .mutex)
        /// Read access, shared with other readers.
        public static let read = Kind(value: .read)
        /// Write access, exclusive.
        public static let write = Kind(value: .write)

        /// A lease of a semaphore.
        public static let lease = Kind(value: .lease)

        /// The name of the kind.
        public var description: String { "\(value)" }
    }

    /// The path of the participant's znode.
    @ZNodeName public var path: String
    /// The kind of access.
    public var kind: Kind
    /// The position in the queue, starting at 0.
    public var position: Int
    /// Whether no participant ahead blocks this one: it holds the lock, or is about to be notified that it does.
    ///
    /// `false` for the placeholder of an ``eviction``, which holds nothing.
    public var isHolder: Bool
    /// The participant's fencing token.
    ///
    /// `nil` if the stat of the znode is unknown. For a downgraded lock, this is not the token of the lease.
    public var token: FencingToken?
    /// The time at which the participant joined the queue.
    ///
    /// It is a time of the ensemble's clock; `nil` if the stat of the znode is unknown.
    public var queuedAt: Timestamp?
    /// The participant's ID; Apache Curator writes an address here.
    public var participantID: String
    /// The application data; if the znode holds a single value, that value.
    public var data: [UInt8]
    /// The session that owns the znode.
    public var session: SessionID?
    /// Whether the znode belongs to the current session of this client.
    public var isOwn: Bool
    /// The eviction that is in progress if the znode is its placeholder; `nil` for participants.
    ///
    /// A placeholder blocks the participants behind it like the evicted holder. It cannot be evicted itself.
    public var eviction: Eviction?
}

extension LockQueueEntry {
    /// Lists a queue, waiting for the ensemble without limit; entries that are deleted during the call are left out.
    static func list(_ directory: String, client: ZooKeeperClient) async throws -> [LockQueueEntry] {
        try await list(directory, client: client) { name in
            ContenderName(name).map { Found(name: name, number: $0.number, kind: Kind($0.kind)) }
        }
    }

    /// Lists the leases of a semaphore.
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
        var attempts = 0
        while true {
            var listed: [Found] = []
            let children = try await client.childrenWithData(of: directory) { name in
                guard let found = recognize(name) else { return false }
                listed.append(found)
                return true
            }
            let read = Dictionary(uniqueKeysWithValues: children.map { (ZNodeName($0.name), $0) })
            for index in listed.indices {
                let child = read[ZNodeName(listed[index].name)]
                (listed[index].data, listed[index].stat) = (child?.data ?? [], child?.stat)
            }
            attempts += 1
            // Another participant may hold the lock now, or the placeholder of an eviction has taken the place.
            guard attempts < 3, children.count < listed.count else {
                return entries(listed, in: directory, session: client.session?.id)
            }
        }
    }

    /// A child found in a directory; it has no stat if it was deleted before it was read.
    struct Found: Sendable {
        var name: String
        var number: Int32
        var kind: Kind
        var stat: ZNodeStat?
        var data: [UInt8] = []
    }

    /// Sorts the children, and determines the holders.
    ///
    /// A child that was deleted before it was read has no entry, but those behind it are not taken for holders: a
    /// placeholder that is not in the list may have replaced it.
    static func entries(_ found: [Found], in directory: String, session: SessionID?) -> [LockQueueEntry] {
        let ordered = found.sorted { left, right in
            (left.number, left.stat?.czxid.rawValue ?? 0, ZNodeName(left.name))
                < (right.number, right.stat?.czxid.rawValue ?? 0, ZNodeName(right.name))
        }
        var kindsInFront: Set<ContenderName.Kind> = []
        var entries: [LockQueueEntry] = []
        for found in ordered {
            let isHolder =
                found.kind.policy.map { policy in !kindsInFront.contains { policy.conflicts(with: $0) } } ?? true
            if let policy = found.kind.policy { kindsInFront.insert(policy.kind) }
            guard let stat = found.stat else { continue }
            let eviction = EvictionPlaceholder.isPlaceholder(found.name) ? Eviction(found.data) : nil
            let text =
                eviction.map { eviction in
                    LockData(
                        participantID: KeyValueData(found.data)["owner"] ?? "", data: Array(eviction.reason.utf8))
                } ?? LockData(found.data)
            entries.append(
                LockQueueEntry(
                    path: found.path(in: directory), kind: found.kind, position: entries.count,
                    isHolder: isHolder && eviction == nil, token: FencingToken(rawValue: stat.czxid.rawValue),
                    queuedAt: stat.ctime, participantID: text.participantID, data: text.data,
                    session: stat.ephemeralOwner, isOwn: session != nil && stat.ephemeralOwner == session,
                    eviction: eviction))
        }
        return entries
    }
}

extension LockQueueEntry.Kind {
    /// The policy that decides which participants block this one; `nil` for a lease, which waits for none.
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

/// A closure to call while a participant waits for a lock.
///
/// It is called each time the participant has found its position behind others. The argument is the number of
/// participants ahead in the queue. The participant lists the queue only when it joins it and when the participant that
/// it waits for has left, so the current position may be lower. For a semaphore, the queue consists of the participants
/// that wait for leases: 0 means that this participant is the first one and waits until enough leases are free.
///
/// The closure is not called if the lock is granted at once. It is called on the thread that delivers the ensemble's
/// answers, and must not block.
public typealias OnQueued = @Sendable (_ position: Int) -> Void

extension Contender {
    /// Sets the closure to call while the participant waits; `nil` calls none.
    func onQueued(_ onQueued: OnQueued?) {
        guard let onQueued else { return }
        onPlace { _, inFront in onQueued(inFront) }
    }
}
