public import ZooKeeper

// What an operator says of a group's nodes, from outside and for good.
extension PartitionGroup {
    /// Where the marks stand, one for each node that an operator has cordoned.
    static func cordons(in path: String) -> String { ZNodePath.child("cordons", of: path) }

    /// Has a node of a group take nothing more, and others come and take what it has, in order, until it is uncordoned.
    ///
    /// ```swift
    /// try await PartitionGroup.cordon("web3", note: "a disk fails", at: "/app/shards", client: client)
    /// ```
    ///
    /// The mark is a persistent znode, `PATH/cordons/<node>`: it outlives the node's restarts and the operator's session. The
    /// node need not be there; one that is started owns nothing from its beginning. What nobody else can take a cordoned
    /// node keeps. Cordoned twice, the later note counts. Beside it stands what a node says of itself
    /// (``PartitionGroup/cordon()``): it takes part when neither says otherwise.
    ///
    /// After a lost connection it may be called again. Returns when the mark is set; ``status(at:partitions:client:)`` tells
    /// who owns what since.
    /// - Parameters:
    ///   - node: The node's name.
    ///   - note: Why, for those who look at the status.
    ///   - path: The group.
    ///   - client: A client.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` for a name that cannot be, `.notFound` when there is no znode at
    ///   the path; `ZooKeeperError` such as `.noAuth`; `CancellationError`.
    /// - Complexity: Two requests, three for a node that has a mark, four for the group's first; every running node lists the
    ///   marks once.
    public static func cordon(
        _ node: String, note: String = "", at path: String, client: ZooKeeperClient
    ) async throws {
        let mark = try mark(of: node, at: path)
        try await requireGroup(at: path, client: client)
        var text = NodeText()
        text["note"] = note
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
                    // Uncordoned at this very moment.
                }
            }
        }
    }

    /// Takes an operator's mark off a node: it gets its partitions back, as one that has come back does.
    ///
    /// - Returns: Whether there was a mark. A node that has cordoned itself stays so.
    /// - Throws: As ``cordon(_:note:at:client:)``.
    /// - Complexity: One request, two when there is no mark; every running node lists the marks once.
    @discardableResult
    public static func uncordon(_ node: String, at path: String, client: ZooKeeperClient) async throws -> Bool {
        let mark = try mark(of: node, at: path)
        do {
            try await client.recipeSteps { try await client.delete(mark) }
            return true
        } catch let error as ZooKeeperError where error.code == .noNode {
            try await requireGroup(at: path, client: client)
            return false
        }
    }

    private static func mark(of node: String, at path: String) throws -> String {
        let path = try ZNodePath(path).string
        try check(path == "/" ? "path is the root; name a group, such as /app/shards" : nil, path)
        try check(PartitionNode.problem(ofName: node), path)
        return try ZNodePath(cordons(in: path)).appending(node).string
    }

    private static func requireGroup(at path: String, client: ZooKeeperClient) async throws {
        let stat = try await client.recipeSteps { try await client.exists(at: ZNodePath(path).string) }
        guard stat == nil else { return }
        throw RecipeError(
            .notFound, in: .partitionGroup, path: path,
            message: "nothing stands there: no node of a group has ever run there")
    }
}
