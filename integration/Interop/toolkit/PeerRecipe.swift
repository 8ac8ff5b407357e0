import ZooKeeper
import ZooKeeperRecipes

/// What a recipe gave a contender.
struct PeerGrant: Sendable {
    /// The creation of the own znode: grows along the queue.
    let token: Int64
    let isWriter: Bool
    let isValid: @Sendable () -> Bool
    var downgrade: @Sendable () async throws -> Void = { throw PeerError("no downgrade") }

    func tellBegin(_ who: String) {
        Output.tell(who, "began \(token) \(isWriter ? "write" : "read")")
        tellAct(who)
    }

    func tellAct(_ who: String) {
        Output.tell(who, "acted \(token) \(isValid() ? "valid" : "invalid")")
    }

    func tellEnd(_ who: String) {
        tellAct(who)
        Output.tell(who, "ended \(token)")
    }
}

/// A recipe of this package at a path, as a command names it.
struct PeerRecipe: Sendable {
    /// Takes, runs the body while it holds, and gives back.
    let hold: @Sendable (@escaping @Sendable (PeerGrant) async throws -> Void) async throws -> Void

    init(_ kind: String, path: String, client: ZooKeeperClient, id: String) throws {
        switch kind {
        case "mutex":
            let mutex = try DistributedMutex(client: client, path: path, ownerName: id)
            hold = { body in try await mutex.withLock { try await body(PeerGrant($0, isWriter: true)) } }
        case "read":
            let lock = try ReadWriteLock(client: client, path: path, holderName: id)
            hold = { body in try await lock.withReadLock { try await body(PeerGrant($0, isWriter: false)) } }
        case "write":
            let lock = try ReadWriteLock(client: client, path: path, holderName: id)
            hold = { body in try await lock.withWriteLock { try await body(PeerGrant($0, isWriter: true)) } }
        case "window":
            let mode = try ExclusiveMode(client: client, path: path)
            hold = { body in
                try await mode.run(reason: id) { window in
                    let grant = PeerGrant(
                        token: window.fencingToken.rawValue, isWriter: true, isValid: { window.isValid })
                    try await body(grant)
                }
            }
        default: throw PeerError("no such kind: \(kind)")
        }
    }
}

extension PeerGrant {
    init(_ lease: Lease, isWriter: Bool) {
        self.init(
            token: lease.fencingToken.rawValue, isWriter: isWriter, isValid: { lease.isValid },
            downgrade: { try await lease.downgrade() })
    }
}
