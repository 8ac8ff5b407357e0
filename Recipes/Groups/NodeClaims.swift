internal import Synchronization
internal import ZooKeeper

/// The paths at which persistent nodes of this process keep a znode, one at a path for each client.
///
/// All znodes of a client belong to its session. If the answer to a creation is lost, nothing at the ensemble tells which of
/// two nodes of one client has created what exists at their common path. So only one of them ever creates there; the
/// other one waits, as it does for the znode of another client.
enum NodeClaims {
    private struct Key: Hashable {
        var client: ObjectIdentifier
        /// Paths are compared as the ensemble does: by bytes.
        var path: [UInt8]

        init(_ node: PersistentNode) {
            client = ObjectIdentifier(node.client)
            path = Array(node.path.utf8)
        }
    }

    private static let holders = Mutex<[Key: PersistentNode]>([:])

    /// Claims a node's path for it.
    ///
    /// - Returns: The node that has the path already, or `nil` if the claim succeeded.
    static func claim(for node: PersistentNode) -> PersistentNode? {
        holders.withLock { holders in
            if let holder = holders[Key(node)] { return holder }
            holders[Key(node)] = node
            return nil
        }
    }

    /// Gives a claim up, if the node has it.
    static func release(by node: PersistentNode) {
        holders.withLock { holders in
            if holders[Key(node)] === node { holders[Key(node)] = nil }
        }
    }

    /// Whether a node has the claim to its path.
    static func isHeld(by node: PersistentNode) -> Bool {
        holders.withLock { $0[Key(node)] === node }
    }
}
