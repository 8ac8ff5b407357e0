import ZooKeeper
import ZooKeeperRecipes

/// What a recipe gave a contender.
struct PeerGrant: Sendable {
    /// The creation of the own znode: grows along the queue.
    let token: Int64
    let isWriter: Bool
    let isValid: @Sendable () -> Bool
    var downgrade: @Sendable () async throws -> Void = { throw PeerError("no downgrade") }
    /// Waits until somebody asks for it, and tells who.
    var request: @Sendable () async throws -> String = { throw PeerError("nobody can ask") }

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
    typealias Body = @Sendable (PeerGrant) async throws -> Void

    /// Takes, runs the body while it holds, and gives back.
    let hold: @Sendable (@escaping Body) async throws -> Void
    /// Takes part no more.
    var close: @Sendable () async throws -> Void = {}
    /// Tells the leader to step down.
    var interrupt: @Sendable () async throws -> Void = { throw PeerError("nobody to interrupt") }
    /// Has another participant lead next.
    var transfer: @Sendable (String) async throws -> Void = { _ in throw PeerError("nothing to transfer") }

    init(_ kind: String, path: String, client: ZooKeeperClient, id: String) throws {
        let parts = kind.split(separator: ":").map(String.init)
        switch parts[0] {
        case "mutex":
            let mutex = try DistributedMutex(client: client, path: path, id: id)
            hold = { body in try await mutex.withLock { try await body(PeerGrant($0)) } }
        case "read":
            let lock = try DistributedReadWriteLock(client: client, path: path, id: id)
            hold = { body in try await lock.withReadLock { try await body(PeerGrant($0, isWriter: false)) } }
        case "write":
            let lock = try DistributedReadWriteLock(client: client, path: path, id: id)
            hold = { body in try await lock.withWriteLock { try await body(PeerGrant($0)) } }
        case "semaphore":
            let limit = Int(parts[1]) ?? 1
            let semaphore = try DistributedSemaphore(client: client, path: path, limit: limit, id: id)
            hold = { body in try await semaphore.withLease { try await body(PeerGrant($0)) } }
        case "selector":
            let selector = try PeerSelector(client: client, path: path, id: id)
            hold = { body in try await selector.lead(body) }
            close = { await selector.close() }
            interrupt = { try await selector.interrupt() }
            transfer = { try await selector.transfer(to: $0) }
        case "latch":
            hold = { body in try await leadByLatch(client: client, path: path, id: id, body) }
        case "window":
            let mode = try ExclusiveMode(client: client, path: path)
            hold = { body in
                try await mode.withWindow(reason: id) { window in
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
    init(_ lease: Lease, isWriter: Bool = true) {
        self.init(
            token: lease.fencingToken.rawValue, isWriter: isWriter, isValid: { lease.isValid },
            downgrade: { try await lease.downgrade() },
            request: {
                for await request in lease.releaseRequests {
                    return request.requesterID.isEmpty ? "-" : request.requesterID
                }
                throw PeerError("over")
            })
    }
}
