internal import Synchronization
internal import ZooKeeper

/// The paths at which persistent nodes of this process maintain a znode, one node for each path and client.
///
/// All znodes of a client belong to its session. If the answer to a creation is lost, the ensemble cannot tell which of
/// two nodes of one client created the znode at their common path. Therefore only one of them ever creates it. The
/// other node waits, as it does for the znode of another client.
enum NodeClaims {
    private struct Key: Hashable {
        var client: ObjectIdentifier
        /// The path as bytes, because the ensemble compares paths by their bytes.
        var path: [UInt8]

        init(_ node: PersistentNode) {
            client = ObjectIdentifier(node.client)
            path = Array(node.path.utf8)
        }
    }

    private static let holders = Mutex<[Key: PersistentNode]>([:])

    /// Claims the path of a node.
    ///
    /// - Returns: The node that has claimed the path already, or `nil` if the claim succeeded.
    static func claim(for node: PersistentNode) -> PersistentNode? {
        holders.withLock { holders in
            if let holder = holders[Key(node)] { return holder }
            holders[Key(node)] = node
            return nil
        }
    }

    /// Releases the claim of a node, if it has one.
    static func release(by node: PersistentNode) {
        holders.withLock { holders in
            if holders[Key(node)] === node { holders[Key(node)] = nil }
        }
    }

    /// Whether a node has claimed its path.
    static func isHeld(by node: PersistentNode) -> Bool {
        holders.withLock { $0[Key(node)] === node }
    }
}
