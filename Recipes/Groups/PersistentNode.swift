public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// An ephemeral znode that is maintained across lost connections and sessions.
///
/// ``run()`` creates the znode with its parents. It creates the znode again whenever it is gone, because its session
/// ended or because another client deleted it. ``states`` reports whether the znode exists.
///
/// ```swift
/// let node = try PersistentNode(client: client, path: "/service/instances/web1", data: address)
/// try await ServiceGroup(services: [client, node], logger: logger).run()
/// ```
///
/// - A znode of an earlier session of this client is replaced in one transaction, so that no client sees it missing.
///   The same applies to znodes that the `isOwn` closure of ``init(client:path:data:acl:isOwn:logger:)`` accepts,
///   for example those of this process before its restart.
/// - Any other owner's znode is left untouched and reported (``PersistentNodeState/occupied(_:)``). When it is gone,
///   this node creates its own. A znode is the node's own only if this node created it. A znode of another node of the
///   same client at the same path, or one that the program created by other means, counts as another owner's.
/// - If another client writes the znode, the node restores its data. If another client deletes the znode, the node
///   creates it again. If this happens repeatedly, the repairs are separated by pauses of up to 5 s.
/// - If the ensemble refuses a request, this is reported (``PersistentNodeState/refused(_:)``), logged once and thrown
///   by ``waitUntilExists(timeout:)``. The node tries again after pauses that grow to 5 s. A server closes the connection
///   when data exceeds its `jute.maxbuffer`. The node tries again after such a loss as well. The third loss in a row
///   counts as a refusal with code `.dataTooLarge`, and from then on the data is sent only about every 60 s. Other data
///   is tried at once.
/// - When the node stops, it deletes the znode, but only the version that it last read, and only if this node created
///   it.
///
/// When ZooKeeper replaces or deletes a znode, it can compare the version but not the owner. So there is one race: an
/// earlier session's znode may disappear, and another client may create one with the same version, within the round
/// trip between the read and the transaction. The node then replaces the other client's znode.
///
/// Creating or writing the znode takes 2 requests in 1 round trip. Each new connection takes 1 request.
public final class PersistentNode: Service, Sendable {
    /// The path of the znode.
    public let path: String

    struct Shared {
        var data: [UInt8]
        /// The transaction that created the node's znode, and the session that owns it; `nil` while it is being
        /// created.
        var creation: (transaction: ZXID, session: SessionHandle)?
        /// The creation that must not be repeated; see ``PersistentNode/keepOnly(_:)``.
        var pinned: (transaction: ZXID, session: SessionHandle)?
    }

    let client: ZooKeeperClient
    let acl: [ACL]?
    let isOwn: @Sendable (ExistingZNode) -> Bool
    let logger: Logger
    let broadcast = Broadcast(PersistentNodeState.absent)
    let shared: Mutex<Shared>
    let wakeUp = WakeUp()
    let runOnce = RunOnce()
    let stopping = OneShot<Void>()
    let lost = OneShot<Void>()

    /// Creates a node, which creates no znode until it runs.
    ///
    /// - Parameters:
    ///   - client: The client whose sessions own the znode.
    ///   - path: The path of the znode. Its parents are created if they do not exist.
    ///   - data: The data of the znode.
    ///   - acl: The access control list of the znode, or `nil` for the client's list. The client must be allowed to
    ///     read and write the znode.
    ///   - isOwn: A closure that decides whether another client's ephemeral znode was created by a previous process of
    ///     the same owner, so that it is replaced at once. By default, no znode is. If two processes accept each
    ///     other's znodes, they replace them in turns forever.
    ///   - logger: The logger for problems of the node.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        client: ZooKeeperClient, path: String, data: [UInt8] = [], acl: [ACL]? = nil,
        isOwn: @escaping @Sendable (ExistingZNode) -> Bool = { _ in false }, logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
        self.acl = acl
        self.isOwn = isOwn
        self.logger = logger
        shared = Mutex(Shared(data: data))
    }

    /// The current state of the node.
    public var state: PersistentNodeState { broadcast.current }

    /// The current state first, then every change in order.
    ///
    /// If a lost connection is re-established before the node has reacted, the state does not change, and the loss is
    /// not reported. To see every lost connection, follow `ZooKeeperClient.states`. The sequence ends when the node has
    /// stopped.
    public var states: AsyncStream<PersistentNodeState> { broadcast.follow() }

    /// The data that the znode holds or is going to hold.
    public var data: [UInt8] { shared.withLock { $0.data } }

    /// Sets the data of the znode from now on, including when it is created again.
    ///
    /// This method returns at once and may be called at any time. ``waitUntilExists(timeout:)`` returns when the znode holds
    /// the data, and throws if the ensemble refuses the data. ``write(_:)`` does both. If several values are set in a
    /// row, only the last one is certain to be written.
    /// - Parameter data: The data of the znode.
    public func setData(_ data: [UInt8]) {
        shared.withLock { $0.data = data }
        wakeUp.signal()
    }

    /// Sets the data and waits until the znode holds it.
    ///
    /// - Parameter data: The data of the znode.
    /// - Throws: As ``waitUntilExists(timeout:)``. The node continues to try to write the data after an
    ///   error. To stop these attempts, set other data.
    /// - Complexity: 2 requests in 1 round trip.
    public func write(_ data: [UInt8]) async throws {
        setData(data)
        try await waitUntilExists()
    }

    /// Waits until the znode exists with the data that was set last.
    ///
    /// - Parameter timeout: The longest time to wait, measured on the continuous clock. `nil` waits without limit.
    /// - Throws: `ZooKeeperError` if the ensemble refuses to create or write the znode during the wait: `.noAuth`,
    ///   `.invalidACL`, `.dataTooLarge`, `.quotaExceeded`, `.noChildrenForEphemerals` if the parent is ephemeral,
    ///   `.noNode` if the chroot does not exist. ``RecipeError`` with code `.timedOut` if the timeout has passed, after
    ///   which the node continues to try, or `.stopped` if the node has stopped. `CancellationError`.
    /// - Complexity: Sends no requests.
    public func waitUntilExists(timeout: Duration? = nil) async throws {
        try await client.within(timeout, of: .group, at: path) { _ = try await self.standingZNode() }
    }

    /// Waits until the znode exists with the data that was set last, and returns it.
    func standingZNode() async throws -> ExistingZNode {
        var isFirst = true
        for await state in states {
            switch state {
            case .present(let znode) where znode.data == data: return znode
            // Data that was refused before this call may be allowed now, and the node tries again.
            case .refused(let error) where !isFirst: throw error
            default: break
            }
            isFirst = false
        }
        try Task.checkCancellation()
        throw RecipeError(.stopped, in: .group, path: path)
    }

    /// Maintains the znode until it is cancelled or shut down gracefully, and then deletes it.
    ///
    /// If there is a connection, the znode is deleted before this method returns. Otherwise it is deleted on the next
    /// connection, or removed with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` if the client ends first;
    ///   ``RecipeError`` with code `.invalidArgument` if the node was run before.
    /// - Complexity: Creating the znode takes 2 requests in 1 round trip, and more if parents have to be created. Each
    ///   new connection takes 1 request. Deleting the znode takes 3 requests in 2 round trips.
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

// A pinned znode, which must not be created again.
extension PersistentNode {
    /// Pins the znode of one creation: when it is gone, the node stops and does not create another one.
    ///
    /// - Returns: `false`, without any effect, if the znode is gone, or if another one exists or is being created
    ///   already.
    func keepOnly(_ transaction: ZXID) -> Bool {
        shared.withLock { shared in
            guard let creation = shared.creation, creation.transaction == transaction, !creation.session.hasEnded else {
                return false
            }
            shared.pinned = creation
            return true
        }
    }

    /// Waits until the znode pinned by ``keepOnly(_:)`` is gone.
    func waitForLoss() async throws {
        try await lost.wait()
    }

    /// The reason why the znode pinned by ``keepOnly(_:)`` is gone, or `nil` while it is not known to be gone.
    var loss: ZooKeeperError? {
        guard let pinned = shared.withLock({ $0.pinned }) else { return nil }
        switch pinned.session.endReason {
        case nil: return lost.value == nil ? nil : ZooKeeperError(.noNode, path: path, message: "it was deleted")
        case .clientStopped: return ZooKeeperError(.clientStopped, path: path)
        default: return ZooKeeperError(.sessionExpired, path: path, message: "the znode is gone with its session")
        }
    }

    /// The transaction that created the node's znode, which exists as last observed.
    ///
    /// The value remains while other data is refused.
    var ownCreation: ZXID? { shared.withLock { $0.creation?.transaction } }

    var isPinned: Bool { shared.withLock { $0.pinned != nil } }

    func lose() {
        lost.set(())
    }

    /// Records that the node's znode is about to be created, and returns whether it may be created.
    func startCreation() -> Bool {
        shared.withLock { shared in
            guard shared.pinned == nil else { return false }
            shared.creation = nil
            return true
        }
    }

    func sees(_ znode: ExistingZNode, in session: SessionHandle) {
        shared.withLock { $0.creation = (znode.stat.czxid, session) }
    }

    /// Whether the znode pinned by ``keepOnly(_:)`` may still exist after a read.
    func isKept(after sight: PersistentNodeStateMachine.Sight) -> Bool {
        guard let pinned = shared.withLock({ $0.pinned }) else { return true }
        return switch sight {
        case .present(let znode): znode.stat.czxid == pinned.transaction
        case .absent: false
        case .failed: true
        }
    }
}

/// Runs a node for the duration of an operation.
///
/// Only the end of the operation stops the node. The node maintains the znode while the operation reacts to a
/// cancellation or to the graceful shutdown of a service group.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The path of the znode. Its parents are created if they do not exist.
///   - data: The data of the znode.
///   - logger: The logger for problems of the node.
///   - operation: The operation, which starts when the znode exists. When it returns or throws, the znode is deleted.
/// - Returns: The result of `operation`.
/// - Throws: The errors of ``PersistentNode/waitUntilExists(timeout:)`` and ``PersistentNode/run()``, or the error of
///   `operation`.
/// - Complexity: Creating the znode takes 2 requests in 1 round trip, and deleting it takes 3 requests in 2 round
///   trips.
public func withPersistentNode<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    data: [UInt8] = [],
    logger: Logger = .current,
    _ operation: (PersistentNode) async throws -> Result
) async throws -> Result {
    let node = try PersistentNode(client: client, path: path, data: data, logger: logger)
    return try await running(node) {
        try await node.waitUntilExists()
        return try await operation(node)
    }
}

/// Runs a node at the same time as an operation.
///
/// If the node ends first, its error is the error of the operation.
func running<Result>(_ node: PersistentNode, operation: () async throws -> Result) async throws -> Result {
    try await withInnerService(node, reportsEnd: RecipeError.reportsEnd(of: .group)) { _ in try await operation() }
}
