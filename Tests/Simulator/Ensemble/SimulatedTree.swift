internal import ZooKeeper
package import ZooKeeperTransport

/// The znodes and sessions of one server, as its applied transactions left them.
package struct SimulatedTree {
    private(set) var nodes: [ZNodeName: Znode] = [:]
    /// The sessions that stand, with their timeouts in milliseconds.
    private(set) var timeouts: [Int64: Int32] = [:]
    /// The paths of each session's ephemeral nodes.
    private var ephemerals: [Int64: [String]] = [:]

    /// A tree as a server has it that was never used.
    ///
    /// - Parameter configuration: What stands in `/zookeeper/config`: the members of an ensemble.
    package init(configuration: [UInt8] = []) {
        nodes["/"] = Znode(data: [], acl: Znode.open, children: ["zookeeper"])
        nodes["/zookeeper"] = Znode(data: [], acl: Znode.open, children: ["quota", "config"])
        nodes["/zookeeper/quota"] = Znode(data: [], acl: Znode.open)
        nodes["/zookeeper/config"] = Znode(
            data: configuration, acl: [TransportACL(permissions: Permission.read, scheme: "world", id: "anyone")],
            version: configuration.isEmpty ? 0 : -1, aversion: -1)
    }

    /// The metadata of a node, as a server reports it.
    package func stat(of path: String) -> TransportStat? { nodes[path]?.stat }

    /// The data of a node.
    package func data(of path: String) -> [UInt8]? { nodes[path]?.data }

    /// The paths of all nodes, sorted.
    package var paths: [String] { nodes.keys.sorted().strings }

    /// The ephemeral nodes of a session.
    package func ephemerals(of session: Int64) -> [String] { ephemerals[session] ?? [] }

    /// The sessions that stand, in the order of their numbers.
    package var sessions: [Int64] { timeouts.keys.sorted() }

    /// Containers that have had children and have none now.
    package var emptyContainers: [String] {
        nodes.filter { $0.value.isReapable }.keys.sorted().strings
    }
}

/// A node with everything that a server keeps of it.
struct Znode {
    var data: [UInt8]?
    var acl: [TransportACL]
    /// Their order means nothing; it is not the order of creation.
    var children: [String] = []
    var czxid: Int64 = 0
    var mzxid: Int64 = 0
    var pzxid: Int64 = 0
    var ctime: Int64 = 0
    var mtime: Int64 = 0
    var version: Int32 = 0
    /// How many children were ever created; the next sequence number.
    var created: Int32 = 0
    var aversion: Int32 = 0
    var owner: Int64 = 0

    /// The owner that marks a container.
    static let container = Int64.min
    static let open = [TransportACL(permissions: Permission.all, scheme: "world", id: "anyone")]

    var isContainer: Bool { owner == Self.container }
    var isEphemeral: Bool { owner != 0 && owner != Self.container }
    var isReapable: Bool { isContainer && children.isEmpty && created > 0 }

    var stat: TransportStat {
        let count = Int32(children.count)
        return TransportStat(
            czxid: czxid, mzxid: mzxid, pzxid: pzxid, ctime: ctime, mtime: mtime, version: version,
            // Each create and each delete counts as one change.
            cversion: created &* 2 &- count, aversion: aversion, ephemeralOwner: isEphemeral ? owner : 0,
            dataLength: Int32(data?.count ?? 0), numChildren: count)
    }
}

/// Whether an access list lets anybody do something.
func allows(_ acl: [TransportACL], _ permission: Int32) -> Bool {
    acl.isEmpty || acl.contains { $0.permissions & permission != 0 && $0.scheme == "world" && $0.id == "anyone" }
}

// MARK: Reading

extension SimulatedTree {
    /// Answers a request that only reads.
    func answer(_ request: TransportRequest) -> TransportReply {
        switch request {
        case .exists(let path, _):
            guard let node = nodes[path] else { return TransportReply(code: ReplyCode.noNode) }
            return TransportReply(code: ReplyCode.ok, body: .stat(node.stat))
        case .getData(let path, _):
            return readable(path) { .data($0.data, $0.stat) }
        case .getChildren(let path, _):
            return readable(path) { .children($0.children, $0.stat) }
        case .getACL(let path):
            return readable(path, Permission.read | Permission.admin) { .acl($0.acl, $0.stat) }
        default:
            return TransportReply(code: ReplyCode.unimplemented)
        }
    }

    private func readable(
        _ path: String, _ permission: Int32 = Permission.read, _ body: (Znode) -> TransportBody
    ) -> TransportReply {
        guard let node = nodes[path] else { return TransportReply(code: ReplyCode.noNode) }
        guard allows(node.acl, permission) else { return TransportReply(code: ReplyCode.noAuth) }
        return TransportReply(code: ReplyCode.ok, body: body(node))
    }
}

// MARK: Changing

/// What happened to a node, for those who watch it.
package struct TreeEvent: Equatable {
    package enum Kind { case created, deleted, dataChanged }
    package var kind: Kind
    package var path: String
    /// Whether anybody may read the node, and its parent: who may not is not told, though the watch is gone.
    package var isReadable = true
    package var isParentReadable = true
}

extension SimulatedTree {
    /// Does what a committed transaction says.
    ///
    /// - Parameter events: Receives what happened, in the order in which the server tells it.
    /// - Returns: The answer to whoever asked for it.
    package mutating func apply(_ transaction: Transaction, events: inout [TreeEvent]) -> TransportReply {
        apply(transaction.change, of: transaction, events: &events)
    }

    private mutating func apply(
        _ change: TreeChange, of transaction: Transaction, events: inout [TreeEvent]
    ) -> TransportReply {
        switch change {
        case .create(let creation):
            create(creation, by: transaction)
            events.append(
                TreeEvent(
                    kind: .created, path: creation.path, isReadable: allows(creation.acl, Permission.read),
                    isParentReadable: isReadable(Path.parent(of: creation.path))))
            let stat = nodes[creation.path].map(\.stat)
            return TransportReply(code: ReplyCode.ok, body: stat.map { .created(path: creation.path, $0) } ?? .none)
        case .delete(let path):
            delete(path, zxid: transaction.zxid, events: &events)
        case .setData(let path, let data, let version):
            let stat = setData(data, of: path, version: version, by: transaction)
            events.append(TreeEvent(kind: .dataChanged, path: path, isReadable: isReadable(path)))
            return TransportReply(code: ReplyCode.ok, body: stat.map { .stat($0) } ?? .none)
        case .setACL(let path, let acl, let version):
            nodes[path]?.acl = acl
            nodes[path]?.aversion = version
        case .check: break
        case .createSession(let timeout):
            timeouts[transaction.session] = timeout
        case .closeSession(let paths):
            for path in paths { delete(path, zxid: transaction.zxid, events: &events) }
            timeouts[transaction.session] = nil
            ephemerals[transaction.session] = nil
        case .setSequence(let path, let next):
            nodes[path]?.created = next
        case .error(let code):
            return TransportReply(code: code)
        case .multi(let changes):
            return TransportReply(
                code: ReplyCode.ok,
                body: .multi(changes.map { result(apply($0, of: transaction, events: &events)) }))
        case .failedMulti(let codes):
            return TransportReply(
                code: codes.first { $0 != ReplyCode.ok } ?? ReplyCode.ok,
                body: .multi(codes.map { TransportOperationResult(code: $0) }))
        }
        return TransportReply(code: ReplyCode.ok)
    }

    private func isReadable(_ path: String) -> Bool {
        nodes[path].map { allows($0.acl, Permission.read) } ?? true
    }

    private func result(_ reply: TransportReply) -> TransportOperationResult {
        switch reply.body {
        case .created(let path, _): TransportOperationResult(code: reply.code, path: path)
        case .stat(let stat): TransportOperationResult(code: reply.code, stat: stat)
        default: TransportOperationResult(code: reply.code)
        }
    }

    private mutating func create(_ creation: Creation, by transaction: Transaction) {
        if let parent = nodes.index(forKey: ZNodeName(Path.parent(of: creation.path))) {
            nodes.values[parent].children.append(Path.name(of: creation.path))
            // A counter that went over its end stays where it is, and so does the zxid of the last change.
            if creation.parentCreated > nodes.values[parent].created {
                nodes.values[parent].created = creation.parentCreated
                nodes.values[parent].pzxid = transaction.zxid
            }
        }
        nodes[creation.path] = Znode(
            data: creation.data, acl: creation.acl, czxid: transaction.zxid, mzxid: transaction.zxid,
            pzxid: transaction.zxid, ctime: transaction.time, mtime: transaction.time, owner: creation.owner)
        if creation.isEphemeral { ephemerals[creation.owner, default: []].append(creation.path) }
    }

    private mutating func delete(_ path: String, zxid: Int64, events: inout [TreeEvent]) {
        guard let node = nodes.removeValue(forKey: path) else { return }
        if let parent = nodes.index(forKey: ZNodeName(Path.parent(of: path))) {
            let name = Path.name(of: path)
            if let index = nodes.values[parent].children.firstIndex(where: { $0.hasBytes(of: name) }) {
                nodes.values[parent].children.swapAt(index, nodes.values[parent].children.count - 1)
                nodes.values[parent].children.removeLast()
            }
            nodes.values[parent].pzxid = zxid
        }
        if node.isEphemeral, let index = ephemerals[node.owner]?.firstIndex(where: { $0.hasBytes(of: path) }) {
            ephemerals[node.owner]?.remove(at: index)
        }
        events.append(
            TreeEvent(
                kind: .deleted, path: path, isReadable: allows(node.acl, Permission.read),
                isParentReadable: isReadable(Path.parent(of: path))))
    }

    private mutating func setData(
        _ data: [UInt8]?, of path: String, version: Int32, by transaction: Transaction
    ) -> TransportStat? {
        guard let node = nodes.index(forKey: ZNodeName(path)) else { return nil }
        nodes.values[node].data = data
        nodes.values[node].version = version
        nodes.values[node].mzxid = transaction.zxid
        nodes.values[node].mtime = transaction.time
        return nodes.values[node].stat
    }
}
