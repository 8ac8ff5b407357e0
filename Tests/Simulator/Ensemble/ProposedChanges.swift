internal import ZooKeeper
package import ZooKeeperTransport

/// What a leader has proposed and not applied yet.
///
/// A write is decided against the tree with all of that done, so that what it becomes is the same on every server.
package struct ProposedChanges {
    /// What deciding needs to know of a node; `nil` for one that will be gone.
    private struct Outlook {
        var version: Int32
        var aversion: Int32
        var created: Int32
        var childCount: Int
        var owner: Int64
        var acl: [TransportACL]

        var isEphemeral: Bool { owner != 0 && owner != Znode.container }
    }

    private var proposed: [ZNodeName: (zxid: Int64, outlook: Outlook?)] = [:]
    private var order: [(zxid: Int64, path: String)] = []
    /// What the operations before the present one would do.
    private var attempt: [(path: String, outlook: Outlook?)] = []

    /// Whether what is proposed may not be applied at once; a server alone does it at once.
    private let keepsProposals: Bool

    package init(keepsProposals: Bool = true) {
        self.keepsProposals = keepsProposals
    }

    /// Decides what a write becomes; a refusal is a decision as well.
    ///
    /// - Parameter zxid: The place that the transaction will have.
    package mutating func decide(
        _ request: TransportRequest, by session: Int64, zxid: Int64, in tree: SimulatedTree
    ) -> TreeChange {
        attempt.removeAll(keepingCapacity: true)
        if case .multi(let operations) = request {
            return decide(operations, by: session, zxid: zxid, in: tree)
        }
        do {
            let change = try single(request, by: session, in: tree)
            keepAttempt(zxid)
            return change
        } catch {
            return .error(error.code)
        }
    }

    /// Ends a session: what is its own is gone with it.
    package mutating func decideClosing(
        _ session: Int64, zxid: Int64, in tree: SimulatedTree, shuffled: (inout [String]) -> Void
    ) -> TreeChange {
        var paths = tree.ephemerals(of: session)
        for (_, path) in order {
            let owner = proposed[path]?.outlook?.owner
            if owner == session {
                if !paths.containsBytes(of: path) { paths.append(path) }
            } else {
                paths.removeAll { $0.hasBytes(of: path) }
            }
        }
        if paths.count > 1 { shuffled(&paths) }
        attempt.removeAll(keepingCapacity: true)
        // The parents keep their counts until it is applied, as on a real server: deleting one is refused till then.
        for path in paths { attempt.append((path, nil)) }
        keepAttempt(zxid)
        return .closeSession(paths: paths)
    }

    /// An administrator's word on a sequence counter.
    mutating func decideSequence(of path: String, next: Int32, zxid: Int64, in tree: SimulatedTree) -> TreeChange {
        attempt.removeAll(keepingCapacity: true)
        guard var node = outlook(path, tree) else { return .error(ReplyCode.noNode) }
        node.created = next
        attempt.append((path, node))
        keepAttempt(zxid)
        return .setSequence(path: path, next: next)
    }

    /// Takes away a container that nobody uses.
    mutating func decideReaping(_ path: String, zxid: Int64, in tree: SimulatedTree) -> TreeChange {
        attempt.removeAll(keepingCapacity: true)
        guard let node = outlook(path, tree) else { return .error(ReplyCode.noNode) }
        guard node.childCount == 0 else { return .error(ReplyCode.notEmpty) }
        leaveParent(of: path, in: tree)
        attempt.append((path, nil))
        keepAttempt(zxid)
        return .delete(path: path)
    }

    /// Forgets what has been applied.
    package mutating func applied(_ zxid: Int64) {
        var count = 0
        while count < order.count, order[count].zxid <= zxid {
            let path = order[count].path
            if let last = proposed[path], last.zxid <= zxid { proposed[path] = nil }
            count += 1
        }
        if count > 0 { order.removeFirst(count) }
    }

    // MARK: Steps

    private mutating func decide(
        _ operations: [TransportOperation], by session: Int64, zxid: Int64, in tree: SimulatedTree
    ) -> TreeChange {
        var changes: [TreeChange] = []
        changes.reserveCapacity(operations.count)
        for (index, operation) in operations.enumerated() {
            do {
                changes.append(try single(operation.request, by: session, in: tree))
            } catch {
                let after = operations.count - index - 1
                attempt.removeAll(keepingCapacity: true)
                return .failedMulti(
                    [ReplyCode](repeating: ReplyCode.ok, count: index) + [error.code]
                        + [ReplyCode](repeating: ReplyCode.runtimeInconsistency, count: after))
            }
        }
        keepAttempt(zxid)
        return .multi(changes)
    }

    private mutating func keepAttempt(_ zxid: Int64) {
        guard keepsProposals else { return }
        for (path, outlook) in attempt {
            proposed[path] = (zxid, outlook)
            order.append((zxid, path))
        }
    }

    private func outlook(_ path: String, _ tree: SimulatedTree) -> Outlook? {
        if let tried = attempt.last(where: { $0.path.hasBytes(of: path) }) { return tried.outlook }
        if let last = proposed[path] { return last.outlook }
        guard let node = tree.nodes[path] else { return nil }
        return Outlook(
            version: node.version, aversion: node.aversion, created: node.created, childCount: node.children.count,
            owner: node.owner, acl: node.acl)
    }

    private func existing(_ path: String, _ tree: SimulatedTree) throws(Refusal) -> Outlook {
        guard let node = outlook(path, tree) else { throw Refusal(ReplyCode.noNode) }
        return node
    }

    private mutating func single(
        _ request: TransportRequest, by session: Int64, in tree: SimulatedTree
    ) throws(Refusal) -> TreeChange {
        switch request {
        case .create(let path, let data, let mode, let acl):
            return try create(path, data: data, mode: mode, acl: acl, by: session, in: tree)
        case .delete(let path, let version):
            return try delete(path, version: version, in: tree)
        case .setData(let path, let data, let version):
            guard Path.isValid(path) else { throw Refusal(ReplyCode.badArguments) }
            var node = try existing(path, tree)
            guard allows(node.acl, Permission.write) else { throw Refusal(ReplyCode.noAuth) }
            node.version = try next(node.version, expected: version)
            attempt.append((path, node))
            return .setData(path: path, data: data, version: node.version)
        case .setACL(let path, let acl, let version):
            return try setACL(acl, of: path, version: version, in: tree)
        default:
            throw Refusal(ReplyCode.unimplemented)
        }
    }

    private mutating func single(
        _ request: OperationRequest, by session: Int64, in tree: SimulatedTree
    ) throws(Refusal) -> TreeChange {
        switch request {
        case .write(let request): return try single(request, by: session, in: tree)
        case .check(let path, let version):
            guard Path.isValid(path) else { throw Refusal(ReplyCode.badArguments) }
            let node = try existing(path, tree)
            guard allows(node.acl, Permission.read) else { throw Refusal(ReplyCode.noAuth) }
            _ = try next(node.version, expected: version)
            return .check
        }
    }

    private mutating func create(
        _ path: String, data: [UInt8]?, mode: TransportCreateMode, acl: [TransportACL], by session: Int64,
        in tree: SimulatedTree
    ) throws(Refusal) -> TreeChange {
        let (isSequential, owner) = try kind(of: mode, session: session)
        guard path.utf8.contains(UInt8(ascii: "/")) else { throw Refusal(ReplyCode.badArguments) }
        let acl = try checked(acl)
        let parent = Path.parent(of: path)
        var above = try existing(parent, tree)
        guard allows(above.acl, Permission.create) else { throw Refusal(ReplyCode.noAuth) }
        let full = isSequential ? path + Self.sequence(above.created) : path
        guard Path.isValid(full) else { throw Refusal(ReplyCode.badArguments) }
        guard outlook(full, tree) == nil else { throw Refusal(ReplyCode.nodeExists) }
        guard !above.isEphemeral else { throw Refusal(ReplyCode.noChildrenForEphemerals) }
        // It may go over the end here; a server that applies it keeps the greater number.
        let created = above.created &+ 1
        above.created = created
        above.childCount += 1
        attempt.append((parent, above))
        attempt.append(
            (full, Outlook(version: 0, aversion: 0, created: 0, childCount: 0, owner: owner, acl: acl)))
        return .create(Creation(path: full, data: data, acl: acl, owner: owner, parentCreated: created))
    }

    private func kind(
        of mode: TransportCreateMode, session: Int64
    ) throws(Refusal) -> (isSequential: Bool, owner: Int64) {
        switch mode {
        case .persistent: (false, 0)
        case .ephemeral: (false, session)
        case .persistentSequential: (true, 0)
        case .ephemeralSequential: (true, session)
        case .container: (false, Znode.container)
        case .persistentWithTTL, .persistentSequentialWithTTL: throw Refusal(ReplyCode.unimplemented)
        }
    }

    private mutating func delete(
        _ path: String, version: Int32, in tree: SimulatedTree
    ) throws(Refusal) -> TreeChange {
        guard path.utf8.contains(UInt8(ascii: "/")), !Path.isSpecial(path) else {
            throw Refusal(ReplyCode.badArguments)
        }
        let above = try existing(Path.parent(of: path), tree)
        guard allows(above.acl, Permission.delete) else { throw Refusal(ReplyCode.noAuth) }
        let node = try existing(path, tree)
        _ = try next(node.version, expected: version)
        guard node.childCount == 0 else { throw Refusal(ReplyCode.notEmpty) }
        leaveParent(of: path, in: tree)
        attempt.append((path, nil))
        return .delete(path: path)
    }

    private mutating func leaveParent(of path: String, in tree: SimulatedTree) {
        let parent = Path.parent(of: path)
        guard var above = outlook(parent, tree) else { return }
        above.childCount -= 1
        attempt.append((parent, above))
    }

    private mutating func setACL(
        _ acl: [TransportACL], of path: String, version: Int32, in tree: SimulatedTree
    ) throws(Refusal) -> TreeChange {
        guard Path.isValid(path) else { throw Refusal(ReplyCode.badArguments) }
        let acl = try checked(acl)
        var node = try existing(path, tree)
        guard allows(node.acl, Permission.admin) else { throw Refusal(ReplyCode.noAuth) }
        // The list itself counts once it is applied: what is ordered until then is judged by the old one.
        node.aversion = try next(node.aversion, expected: version)
        attempt.append((path, node))
        return .setACL(path: path, acl: acl, version: node.aversion)
    }

    private func next(_ version: Int32, expected: Int32) throws(Refusal) -> Int32 {
        guard expected == -1 || expected == version else { throw Refusal(ReplyCode.badVersion) }
        return version &+ 1
    }

    /// The list without what stands in it twice; only entries for anybody are kept by the simulator.
    private func checked(_ acl: [TransportACL]) throws(Refusal) -> [TransportACL] {
        guard !acl.isEmpty else { throw Refusal(ReplyCode.invalidACL) }
        guard acl.allSatisfy({ $0.scheme == "world" && $0.id == "anyone" }) else {
            throw Refusal(ReplyCode.unimplemented)
        }
        if acl.count == 1 { return acl }
        var unique: [TransportACL] = []
        for entry in acl where !unique.contains(entry) { unique.append(entry) }
        return unique
    }

    /// The digits of a sequence number: ten at least, the sign among them.
    static func sequence(_ number: Int32) -> String {
        let digits = String(number.magnitude)
        let width = number < 0 ? 9 : 10
        return (number < 0 ? "-" : "") + String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

/// An operation of a transaction as a request of its own.
private enum OperationRequest {
    case write(TransportRequest)
    case check(path: String, version: Int32)
}

extension TransportOperation {
    fileprivate var request: OperationRequest {
        switch self {
        case .create(let path, let data, let mode, let acl):
            .write(.create(path: path, data: data, mode: mode, acl: acl))
        case .delete(let path, let version): .write(.delete(path: path, version: version))
        case .setData(let path, let data, let version): .write(.setData(path: path, data: data, version: version))
        case .check(let path, let version): .check(path: path, version: version)
        }
    }
}
