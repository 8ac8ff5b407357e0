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
///   created.
/// - What somebody else writes into the own znode is overwritten with the own data.
/// - At the end the znode is deleted, with its version, and only if it belongs to this client's session.
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
        var isRunning = false
    }

    let client: ZooKeeperClient
    let acl: [ACL]?
    let isOwn: @Sendable (StandingZNode) -> Bool
    let logger: Logger
    let broadcast = Broadcast(PersistentNodeState.absent)
    let shared: Mutex<Shared>
    let wakeUp = WakeUp()
    let stopping = OneShot<Void>()

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
    /// The sequence ends when the node has stopped.
    public var states: AsyncStream<PersistentNodeState> { broadcast.follow() }

    /// What the znode holds, or is to hold.
    public var data: [UInt8] { shared.withLock { $0.data } }

    /// Has the znode hold other data from now on, also when it is created again.
    ///
    /// It is written with its version and may be called at any time; ``states`` tells when it stands with the new data. Of
    /// several values set one after the other only the last need ever be written.
    public func setData(_ data: [UInt8]) {
        shared.withLock { $0.data = data }
        wakeUp.signal()
    }

    /// Waits until the znode stands, with the data that was set last.
    ///
    /// - Throws: ``GroupError`` with code `.stopped` when the node has stopped, or `CancellationError`.
    public func waitUntilStanding() async throws {
        for await state in states {
            if case .standing(let znode) = state, znode.data == data { return }
        }
        try Task.checkCancellation()
        throw GroupError(.stopped, path: path)
    }

    /// Keeps the znode standing until it is cancelled or shut down gracefully; deletes it then.
    ///
    /// Before it returns the znode is deleted, as long as there is a connection; without one it is deleted on the next one
    /// or goes with its session.
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` when the client ends first;
    ///   ``GroupError`` with code `.invalidArgument` when it was run before.
    public func run() async throws {
        try begin()
        let loop = Task {
            var loop = PersistentNodeLoop(node: self)
            return await loop.run()
        }
        let failure = await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await loop.value
            } onCancel: {
                stop()
            }
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

    private func begin() throws(GroupError) {
        let isFirst = shared.withLock { shared in
            defer { shared.isRunning = true }
            return !shared.isRunning
        }
        guard isFirst else { throw GroupError(.invalidArgument, path: path, message: "a node is run once") }
    }
}

/// Runs a node for as long as an operation takes.
///
/// - Parameters:
///   - path: Where the znode is to stand.
///   - data: What it is to hold.
///   - client: A client that runs.
///   - logger: Where the node tells of trouble.
///   - operation: Begins when the znode stands; when it returns or throws, the znode is deleted.
/// - Returns: What `operation` returned.
/// - Throws: The errors of ``PersistentNode/run()``, or the error of `operation`.
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

/// Runs a service beside an operation; its error, when it ends first, is the operation's.
func running<Result: Sendable>(
    _ service: any Service, operation: () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await service.run() }
        let result: Result
        do {
            result = try await operation()
        } catch let error as GroupError where error.code == .stopped {
            try await group.waitForAll()
            throw error
        } catch {
            group.cancelAll()
            try? await group.waitForAll()
            throw error
        }
        group.cancelAll()
        try? await group.waitForAll()
        return result
    }
}
