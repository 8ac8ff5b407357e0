public import ZooKeeper

// Cordons that an operator sets from outside the group, and that outlive the nodes' processes.
extension PartitionGroup {
    /// Returns the path of the operators' cordons, with one child for each cordoned node.
    static func cordons(in path: String) -> String { ZNodePath.child("cordons", of: path) }

    /// Cordons a node of a group until it is uncordoned: it takes no partitions, and the others take over those it
    /// owns.
    ///
    /// ```swift
    /// try await PartitionGroup.cordon("web3", client: client, path: "/app/shards", reason: "a disk fails")
    /// ```
    ///
    /// The cordon is a persistent znode, `PATH/cordons/<node>`, which outlives restarts of the node and the operator's
    /// session. The node does not have to be running; a cordoned node that starts owns nothing from the beginning. A
    /// cordoned node keeps partitions that no other node can take. If the node is cordoned already, the new reason
    /// replaces the old one. The node's own cordon (``PartitionGroup/cordon()``) is independent: a node takes
    /// partitions only if neither is set.
    ///
    /// A group exists once its first node has started. At any other path nothing is written, because a child of another
    /// recipe's znode could count as a participant. Until then, a node that must not own partitions starts with
    /// ``PartitionNode/isCordoned``.
    ///
    /// The method returns when the cordon is set, before the partitions have moved. Use
    /// ``status(client:path:partitions:)`` to observe the owners. After a lost connection the call may be repeated.
    ///
    /// - Parameters:
    ///   - id: The node's participant ID.
    ///   - client: The client that sends the requests.
    ///   - path: The path of the group.
    ///   - reason: The reason, which ``status(client:path:partitions:)`` returns. Default: empty.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` if the participant ID is invalid or the path is the root,
    ///   or `.notFound` if there is no group at the path; `ZooKeeperError`, such as `.invalidPath` or `.noAuth`;
    ///   `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips; 3 if the node is cordoned already, 4 for the first cordon of a group.
    ///   If no partition has been owned yet, 1 listing more, and a read for each member. Every running node then lists
    ///   the cordons once.
    public static func cordon(
        _ id: String, client: ZooKeeperClient, path: String, reason: String = ""
    ) async throws {
        let mark = try mark(of: id, at: path)
        try await requireGroup(at: path, client: client)
        var text = KeyValueData()
        text["note"] = reason
        let data = text.bytes
        while true {
            do {
                try await client.recipeSteps { _ = try await client.create(mark, data: data, parents: true) }
                return
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                do {
                    try await client.recipeSteps { _ = try await client.setData(data, at: mark) }
                    return
                } catch let error as ZooKeeperError where error.code == .noNode {
                    // The node was uncordoned in between.
                }
            }
        }
    }

    /// Removes an operator's cordon, so that the node gets its partitions back like a node that rejoins.
    ///
    /// The node's own cordon remains.
    ///
    /// - Returns: Whether the cordon existed.
    /// - Throws: The same errors as ``cordon(_:client:path:reason:)``.
    /// - Complexity: 2 requests in 2 round trips. If no partition has been owned yet, 1 listing more, and a read for each
    ///   member. Every running node then lists the cordons once.
    @discardableResult
    public static func uncordon(_ id: String, client: ZooKeeperClient, path: String) async throws -> Bool {
        let mark = try mark(of: id, at: path)
        // A znode of this name below another kind of znode is not a cordon.
        try await requireGroup(at: path, client: client)
        do {
            try await client.recipeSteps { try await client.delete(mark) }
            return true
        } catch let error as ZooKeeperError where error.code == .noNode {
            return false
        }
    }

    private static func mark(of node: String, at path: String) throws -> String {
        let path = try ZNodePath(path).string
        try check(path == "/" ? "path is the root; name a group, such as /app/shards" : nil, path)
        try check(PartitionNode.problem(ofName: node), path)
        return try ZNodePath(cordons(in: path)).appending(node).string
    }

    /// Checks that there is a group at a path.
    ///
    /// - Throws: ``RecipeError`` with code `.notFound` if there is none; `ZooKeeperError`; `CancellationError`.
    package static func requireGroup(at path: String, client: ZooKeeperClient) async throws {
        let path = try ZNodePath(path).string
        if try await client.recipeSteps({ try await isGroup(at: path, client: client) }) { return }
        throw RecipeError(
            .notFound, in: .partitionGroup, path: path, message: "no node of a group has ever run at this path")
    }

    /// Returns whether the children of a znode are those of a group.
    ///
    /// Other recipes have a child `members` as well. The servers delete `members` some time after the last node has
    /// left, and `partitions` exists only once a partition has been owned.
    private static func isGroup(at path: String, client: ZooKeeperClient) async throws -> Bool {
        let names = Set(try await client.sortedChildren(of: path))
        if names.contains("partitions"), names.contains("members") || names.contains("cordons") { return true }
        if names.contains("cordons"), names.isSubset(of: ["cordons", "members"]) { return true }
        if names.contains("partitions") {
            let queues = try await client.sortedChildren(of: ZNodePath.child("partitions", of: path))
            let all = Set(queues.map { ZNodeName($0) })
            return queues.contains { all.contains(ZNodeName(ElectionEpoch.path(of: $0))) }
        }
        guard names.contains("members") else { return false }
        return try await client.childrenWithData(of: ZNodePath.child("members", of: path)).contains { member in
            PartitionNode.isRecord(member.data ?? [])
        }
    }
}
