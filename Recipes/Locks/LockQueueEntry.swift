public import ZooKeeper

/// Somebody in a lock's queue, who holds the lock or waits for it.
public struct LockQueueEntry: Sendable, Hashable {
    /// What somebody is in a queue for.
    public struct Kind: Sendable, Hashable, CustomStringConvertible {
        enum Value: Hashable { case mutex, read, write }

        let value: Value

        /// To be the only one, in a mutex.
        public static let mutex = Kind(value: .mutex)
        /// To read, together with others.
        public static let read = Kind(value: .read)
        /// To write, alone.
        public static let write = Kind(value: .write)

        /// The kind's name.
        public var description: String { "\(value)" }
    }

    /// The znode.
    public var path: String
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
    /// Lists a queue; those that vanish while they are read are left out.
    static func list(_ directory: String, client: ZooKeeperClient) async throws -> [LockQueueEntry] {
        let names: [String]
        do {
            names = try await client.children(of: directory).names
        } catch let error as ZooKeeperError where error.code == .noNode {
            return []
        }
        let contenders = names.compactMap(ContenderName.init)
        return try await withThrowingTaskGroup(of: Found?.self) { group in
            for contender in contenders {
                group.addTask { try await Found(contender, in: directory, client: client) }
            }
            var found: [Found] = []
            for try await one in group where one != nil { found += [one].compactMap(\.self) }
            return entries(found, in: directory, session: client.session?.id)
        }
    }

    /// One contender as it was read; without a stat when it may not be read.
    struct Found: Sendable {
        var name: ContenderName
        var stat: ZNodeStat?
        var data: [UInt8] = []
    }

    /// Puts what was read in order, and says who holds.
    static func entries(_ found: [Found], in directory: String, session: SessionID?) -> [LockQueueEntry] {
        let ordered = found.sorted { left, right in
            (left.name.number, left.stat?.czxid.rawValue ?? 0, left.name.string)
                < (right.name.number, right.stat?.czxid.rawValue ?? 0, right.name.string)
        }
        var isBehindReaders = true
        return ordered.enumerated().map { position, found in
            let isReader = found.name.kind == .read
            let isHolder = position == 0 || (isReader && isBehindReaders)
            if !isReader { isBehindReaders = false }
            let text = LockData(found.data)
            return LockQueueEntry(
                path: directory == "/" ? "/\(found.name)" : "\(directory)/\(found.name)",
                kind: isReader ? .read : found.name.kind == .write ? .write : .mutex,
                position: position, isHolder: isHolder,
                token: (found.stat?.czxid.rawValue).map(FencingToken.init),
                since: found.stat?.ctime, ownerName: text.ownerName, data: text.data,
                session: found.stat?.ephemeralOwner,
                isOwn: session != nil && found.stat?.ephemeralOwner == session)
        }
    }
}

extension LockQueueEntry.Found {
    fileprivate init?(_ name: ContenderName, in directory: String, client: ZooKeeperClient) async throws {
        self.name = name
        let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
        do {
            let node = try await client.data(at: path)
            (stat, data) = (node.stat, node.data)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return nil
        } catch let error as ZooKeeperError where error.code == .noAuth {
            guard let stat = try await client.exists(at: path) else { return nil }
            self.stat = stat
        }
    }
}
