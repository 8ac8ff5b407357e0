import CommandLineSupport
import ZooKeeper

/// A znode with its access control list.
struct ZNodeACL: Sendable {
    var path: String
    /// The entries; `nil` if they could not be read.
    var acl: [ACL]?
    /// The number of times that the ACL was set.
    var version: Int32 = 0
    /// The session of an ephemeral znode.
    var session: SessionID?
    /// Why the ACL could not be read; `nil` if it was read.
    var problem: String?
    /// Why the children could not be listed; `nil` if they were listed or there is none to list.
    var listingProblem: String?

    static let refusal = "this client has neither read nor admin permission"
    static let listingRefusal = "its children are left out, because this client has no read permission"
}

/// The access control lists of a znode and, optionally, of everything below it.
struct ACLTree: Sendable {
    /// The znodes, one element for each level; the first is the znode at the path.
    var levels: [[ZNodeACL]] = []

    var znodes: [ZNodeACL] { levels.flatMap { $0 } }

    /// Reads the access control lists, level by level, with up to 64 requests at a time.
    ///
    /// Znodes that are deleted in the meantime are left out, and so are the servers' own znodes below the root.
    ///
    /// - Parameters:
    ///   - isRecursive: Whether to read everything below the znode as well.
    ///   - limit: The maximum number of znodes.
    /// - Throws: ``NothingThere`` if the znode does not exist; ``TooManyZNodes``; `ZooKeeperError`.
    static func read(_ client: ZooKeeperClient, at root: String, isRecursive: Bool, limit: Int) async throws -> ACLTree
    {
        var tree = ACLTree()
        var paths = [root]
        var count = 0
        while !paths.isEmpty {
            count += paths.count
            guard count <= limit else { throw TooManyZNodes(root: root, limit: limit) }
            let found = try await inParallel(paths) { try await client.accessControl(at: $0, isRecursive: isRecursive) }
            let level = found.compactMap { $0?.znode }
            if !level.isEmpty { tree.levels.append(level) }
            paths = found.flatMap { $0?.children ?? [] }
        }
        guard !tree.levels.isEmpty else {
            throw try await NothingThere("been deleted and created again", at: root, client)
        }
        return tree
    }
}

/// The error about a tree with more znodes than a command may read.
struct TooManyZNodes: Error, CustomStringConvertible {
    var root: String
    var limit: Int

    var description: String {
        "there are more than \(Text.grouped(limit)) znodes at and below \(root), and nothing was done: name a path "
            + "further down, or raise --max-znodes"
    }
}

extension ZooKeeperClient {
    /// Reads the access control list of a znode, and the paths of its children.
    ///
    /// - Returns: `nil` if the znode does not exist.
    fileprivate func accessControl(
        at path: String, isRecursive: Bool
    ) async throws -> (znode: ZNodeACL, children: [String])? {
        let found: (acl: [ACL], stat: ZNodeStat)
        do {
            found = try await acl(at: path)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return nil
        } catch let error as ZooKeeperError where error.code == .noAuth {
            return (ZNodeACL(path: path, problem: ZNodeACL.refusal), [])
        }
        var znode = ZNodeACL(
            path: path, acl: found.acl, version: found.stat.aclVersion, session: found.stat.ephemeralOwner)
        guard isRecursive, found.stat.childrenCount > 0 else { return (znode, []) }
        let listing = try await listing(of: path)
        if listing == .refused { znode.listingProblem = ZNodeACL.listingRefusal }
        let isRoot = path == "/" && configuration.chroot == nil
        let names = listing.names.filter { !isRoot || $0 != "zookeeper" }
        return (znode, names.map { ZNodePath.child($0, of: path) })
    }
}
