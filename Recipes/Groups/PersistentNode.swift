public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// Keeps one ephemeral znode standing, through lost connections and across sessions.
///
/// ``run()`` creates the znode, with its parents, and creates it again whenever it has gone: with its session, or by
/// somebody's hand. ``states`` tells whether it stands.
///
/// ```swift
/// let node = try PersistentNode("/service/instances/web1", data: address, client: client)
/// try await ServiceGroup(services: [client, node], logger: logger).run()
/// ```
///
/// - A znode of this client's earlier session is replaced by one of the present session in one transaction: nobody sees
///   it missing. So is one that ``init(_:data:client:acl:replacing:logger:)`` is told to recognize, as that of this
///   process before its restart.
/// - Anybody else's znode is respected and reported (``PersistentNodeState/occupied(_:)``); when it has gone, the own one is
///   created. A znode counts as own only if this node has created it: another node of the same client at the same path,
///   and a znode that the program creates by other means, are respected in the same way.
/// - What somebody else writes into the own znode is overwritten with the own data, and what somebody deletes is created
///   again. If that happens again and again, the repairs are separated by pauses of up to 5 s.
/// - A refusal of the ensemble is reported (``PersistentNodeState/refused(_:)``), logged once and thrown by
///   ``waitUntilStanding()``. The node asks again after pauses that grow up to 5 s. A write that makes the server close the
///   connection, as data over its `jute.maxbuffer` does, is repeated after pauses that grow up to 60 s; the third loss in
///   a row counts as a refusal with code `.dataTooLarge`. Other data is tried at once.
/// - At the end the znode is deleted, with its version, and only if this node has created it.
///
/// ZooKeeper can compare a znode's version when it replaces or deletes it, but not its owner. Should an earlier session's
/// znode vanish, and a stranger create one of the same version within the round trip between the look and the
/// transaction, the stranger's is taken.
///
/// Costs two requests in one flight to create or to write it, and one for each new connection.
public final class PersistentNode: Service, Sendable {
    /// The znode.
    public let path: String

    struct Shared {
        var data: [UInt8]
        /// The own znode's creation, and the session that it belongs to; `nil` while it is being created.
        var creation: (transaction: ZXID, session: LiveSession)?
        /// The one creation that is kept; see ``PersistentNode/keepOnly(_:)``.
        var pinned: (transaction: ZXID, session: LiveSession)?
    }

    let client: ZooKeeperClient
    let acl: [ACL]?
    let isOwn: @Sendable (StandingZNode) -> Bool
    let logger: Logger
    let broadcast = Broadcast(PersistentNodeState.absent)
    let shared: Mutex<Shared>
    let wakeUp = WakeUp()
    let runOnce = RunOnce()
    let stopping = OneShot<Void>()
    let lost = OneShot<Void>()

    /// Makes a node; nothing is created before it runs.
    ///
    /// - Parameters:
    ///   - path: Where the znode is to stand; parents are created as needed.
    ///   - data: What it is to hold.
    ///   - client: Whose sessions own it.
    ///   - acl: Who may do what with it; `nil` takes the client's list. Its creator must be allowed to read and write.
    ///   - isOwn: Says of another client's ephemeral znode whether it is an earlier life of the same owner, to be replaced
    ///     at once; by default none is. Two processes that both say so of each other take the znode in turns, for ever.
    ///   - logger: Where the node tells of trouble.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        _ path: String, data: [UInt8] = [], client: ZooKeeperClient, acl: [ACL]? = nil,
        replacing isOwn: @escaping @Sendable (StandingZNode) -> Bool = { _ in false }, logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
        self.acl = acl
        self.isOwn = isOwn
        self.logger = logger
        shared = Mutex(Shared(data: data))
    }

    /// Where the node stands now.
    public var state: PersistentNodeState { broadcast.current }

    /// The current state first, then every change in order.
    ///
    /// A connection that was lost and is back before the node has reacted changes nothing and is not reported; follow
    /// `ZooKeeperClient.states` to see every lost connection. The sequence ends when the node has stopped.
    public var states: AsyncStream<PersistentNodeState> { broadcast.follow() }

    /// What the znode holds, or is to hold.
    public var data: [UInt8] { shared.withLock { $0.data } }

    /// Sets the data that the znode is to hold from now on, also when it is created again.
    ///
    /// Returns at once and may be called at any time. ``waitUntilStanding()`` returns when the znode holds the data, and
    /// throws if the ensemble refuses it; ``write(_:)`` does both. Of several values that are set one after the other only
    /// the last is certain to be written.
    public func setData(_ data: [UInt8]) {
        shared.withLock { $0.data = data }
        wakeUp.signal()
    }

    /// Sets the data and waits until the znode holds it.
    ///
    /// - Throws: The errors of ``waitUntilStanding()``. The node goes on trying to write the data after that; set other data
    ///   to give it up.
    public func write(_ data: [UInt8]) async throws {
        setData(data)
        try await waitUntilStanding()
    }

    /// Waits until the znode stands, with the data that was set last.
    ///
    /// - Throws: `ZooKeeperError` if the ensemble refuses to have the znode created or written while this waits: `.noAuth`,
    ///   `.invalidACL`, `.dataTooLarge`, `.quotaExceeded`, `.noChildrenForEphemerals` below an ephemeral znode, `.noNode` if
    ///   the chroot is missing; ``RecipeError`` with code `.stopped` when the node has stopped; or `CancellationError`.
    public func waitUntilStanding() async throws {
        _ = try await standingZNode()
    }

    /// The own znode, once it stands with the data that was set last.
    func standingZNode() async throws -> StandingZNode {
        var isFirst = true
        for await state in states {
            switch state {
            case .standing(let znode) where znode.data == data: return znode
            // What was refused before this began may be allowed now; it is tried again.
            case .refused(let error) where !isFirst: throw error
            default: break
            }
            isFirst = false
        }
        try Task.checkCancellation()
        throw RecipeError(.stopped, in: .group, path: path)
    }

    /// Keeps the znode standing until it is cancelled or shut down gracefully; deletes it then.
    ///
    /// Before it returns the znode is deleted, as long as there is a connection; without one it is deleted on the next one
    /// or goes with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` when the client ends first;
    ///   ``RecipeError`` with code `.invalidArgument` when it was run before.
    public func run() async throws {
        try runOnce.begin("a node", in: .group, path: path)
        let failure = await runOnce.run {
            var loop = PersistentNodeLoop(node: self)
            return await loop.run()
        } onCancel: {
            self.stop()
        } onGracefulShutdown: {
            self.stop()
        }
        broadcast.finish(.stopped)
        if let failure { throw failure }
    }

    private func stop() {
        stopping.set(())
        wakeUp.signal()
    }
}

// A znode that must not be created again.
extension PersistentNode {
    /// Keeps the znode of one creation from now on: when it is gone, the node stops and does not create another.
    ///
    /// - Returns: `false` if it is gone, or another one exists or is being created already; nothing has changed then.
    func keepOnly(_ transaction: ZXID) -> Bool {
        shared.withLock { shared in
            guard let creation = shared.creation, creation.transaction == transaction, !creation.session.hasEnded else {
                return false
            }
            shared.pinned = creation
            return true
        }
    }

    /// Waits until the znode of ``keepOnly(_:)`` is gone.
    func waitForLoss() async throws {
        try await lost.wait()
    }

    /// Why the znode of ``keepOnly(_:)`` is gone; `nil` while it is not known to be.
    var loss: ZooKeeperError? {
        guard let pinned = shared.withLock({ $0.pinned }) else { return nil }
        switch pinned.session.endReason {
        case nil: return lost.value == nil ? nil : ZooKeeperError(.noNode, path: path, message: "it was deleted")
        case .clientStopped: return ZooKeeperError(.clientStopped, path: path)
        default: return ZooKeeperError(.sessionExpired, path: path, message: "the znode is gone with its session")
        }
    }

    /// The creation of the own znode that exists as far as is known, also while other data is refused.
    var ownCreation: ZXID? { shared.withLock { $0.creation?.transaction } }

    var isPinned: Bool { shared.withLock { $0.pinned != nil } }

    func lose() {
        lost.set(())
    }

    /// Notes that the own znode is about to be created; says whether it may be.
    func startCreation() -> Bool {
        shared.withLock { shared in
            guard shared.pinned == nil else { return false }
            shared.creation = nil
            return true
        }
    }

    func sees(_ znode: StandingZNode, in session: LiveSession) {
        shared.withLock { $0.creation = (znode.stat.czxid, session) }
    }

    /// Whether a look leaves it possible that the znode of ``keepOnly(_:)`` exists.
    func isKept(after sight: PersistentNodeStateMachine.Sight) -> Bool {
        guard let pinned = shared.withLock({ $0.pinned }) else { return true }
        return switch sight {
        case .present(let znode): znode.stat.czxid == pinned.transaction
        case .absent: false
        case .failed: true
        }
    }
}

/// Runs a node for as long as an operation takes.
///
/// Only the end of the operation stops the node: it is kept while the operation reacts to a cancellation or to the graceful
/// shutdown of a service group.
///
/// - Parameters:
///   - path: Where the znode is to stand.
///   - data: What it is to hold.
///   - client: A client that runs.
///   - logger: Where the node tells of trouble.
///   - operation: Begins when the znode stands; when it returns or throws, the znode is deleted.
/// - Returns: What `operation` returned.
/// - Throws: The errors of ``PersistentNode/waitUntilStanding()`` and ``PersistentNode/run()``, or the error of `operation`.
public func withPersistentNode<Result: Sendable>(
    _ path: String,
    data: [UInt8] = [],
    client: ZooKeeperClient,
    logger: Logger = .current,
    operation: (PersistentNode) async throws -> Result
) async throws -> Result {
    let node = try PersistentNode(path, data: data, client: client, logger: logger)
    return try await running(node) {
        try await node.waitUntilStanding()
        return try await operation(node)
    }
}

/// Runs a node beside an operation; its error, when it ends first, is the operation's.
func running<Result>(_ node: PersistentNode, operation: () async throws -> Result) async throws -> Result {
    func reportsEnd(_ error: any Error) -> Bool {
        guard let error = error as? RecipeError else { return false }
        return error.code == .stopped && error.recipe == .group
    }
    return try await withInnerService(node, reportsEnd: reportsEnd) { _ in
        try await operation()
    }
}
