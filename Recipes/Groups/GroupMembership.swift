public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// A membership in a group, which also lists the other members.
///
/// Each member is an ephemeral znode below the group's path. Its name is the member's ID, and it holds the member's
/// data. This is the layout of Apache Curator's `GroupMember`. A member is listed as long as its session exists.
///
/// ```swift
/// let membership = try GroupMembership(client: client, path: "/service/members", id: "web1", data: address)
/// async let run: Void = membership.run()
/// for await members in membership.changes where members.isLive {
///     balancer.rebuild(members.map(\.id))
/// }
/// ```
///
/// - This member is listed only while its znode exists. ``GroupMember/isSelf`` marks it.
/// - The znode is maintained as a ``PersistentNode``. If another owner's znode with the same ID exists, the membership
///   leaves it untouched and waits until it is gone. The znode of a crashed process is removed within its session
///   timeout. If the znode exists for longer than ``Configuration-swift.struct/duplicateTimeout``, `run()` fails with
///   ``RecipeError/Code/duplicate``, which describes the znode. The same applies to a second membership of the same
///   client: it never writes or deletes the znode of the first one.
/// - When the membership ends, it deletes only its own znode.
public final class GroupMembership: Service, Sendable {
    /// The configuration of a membership.
    public struct Configuration: Sendable {
        /// The time for which `run()` waits for another owner's znode with the same ID to disappear before it fails.
        ///
        /// `nil` waits without limit. The time should be longer than the session timeout of the members, so that a
        /// process that restarts after a crash waits until its previous session has expired. Default: twice the
        /// client's session timeout.
        public var duplicateTimeout: Duration?
        /// A closure that decides whether a znode with the same ID was created by a previous process of this member.
        ///
        /// Such a znode is replaced at once. Use this only if no two processes can have the same ID at the same time,
        /// as with the pod names of a stateful set. Default: `false` for every znode.
        public var isPreviousIncarnation: @Sendable (ExistingZNode) -> Bool = { _ in false }
        /// The configuration of the cache that follows the other members.
        ///
        /// Default: the default configuration of ``ChildrenCache``.
        public var members = ChildrenCache.Configuration()

        /// Creates a configuration with the default values for a client.
        public init(client: ZooKeeperClient) {
            duplicateTimeout = client.configuration.sessionTimeout * 2
        }
    }

    /// The path of the group.
    public let path: String
    /// The ID of this member.
    public let id: String
    /// The node that maintains the znode of this member.
    public let node: PersistentNode
    private let configuration: Configuration
    private let observer: GroupObserver

    /// Creates a membership, which creates nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the znode.
    ///   - path: The path of the group. It is created with its parents if it does not exist.
    ///   - id: The ID of this member, which is the name of its znode. No two members may have the same ID.
    ///   - data: The data of this member that other members read.
    ///   - configuration: The configuration, or `nil` for the defaults.
    ///   - logger: The logger for problems of the membership.
    /// - Throws: `ZooKeeperError` with code `.invalidPath` if the path is invalid or the ID cannot be the name of a
    ///   znode; `.invalidConfiguration` if the configuration of the cache is invalid.
    public init(
        client: ZooKeeperClient, path: String, id: String, data: [UInt8] = [],
        configuration: Configuration? = nil, logger: Logger = .current
    ) throws(ZooKeeperError) {
        let configuration = configuration ?? Configuration(client: client)
        self.path = try ZNodePath(path).string
        self.id = id
        self.configuration = configuration
        node = try PersistentNode(
            client: client, path: ZNodePath(path).appending(id).string, data: data,
            isOwn: configuration.isPreviousIncarnation,
            logger: logger)
        observer = try GroupObserver(client: client, path: path, configuration: configuration.members, logger: logger)
    }

    /// The members that are known now; the value comes from memory.
    public var current: GroupMembers { observer.members(of: node) }

    /// The current members first, then the members after each change.
    ///
    /// A slow reader skips to the newest list. The sequence ends when the membership has stopped.
    public var changes: GroupChanges { observer.changes(of: node) }

    /// The states of this member's znode: the current state first, then every change in order.
    public var states: AsyncStream<PersistentNodeState> { node.states }

    /// Sets the data of this member from now on.
    ///
    /// This method returns at once and may be called at any time. ``waitUntilJoined(timeout:)`` returns when the znode holds
    /// the data, and throws if the ensemble refuses the data. ``write(_:)`` does both.
    /// - Parameter data: The data of this member that other members read.
    public func setData(_ data: [UInt8]) {
        node.setData(data)
    }

    /// Sets the data of this member and waits until its znode holds the data.
    ///
    /// - Parameter data: The data of this member that other members read.
    /// - Throws: As ``PersistentNode/write(_:)``.
    /// - Complexity: 2 requests in 1 round trip.
    public func write(_ data: [UInt8]) async throws {
        try await node.write(data)
    }

    /// Waits until the znode of this member exists with the data that was set last.
    ///
    /// - Parameter timeout: The longest time to wait, measured on the continuous clock. `nil` waits without limit.
    /// - Throws: `ZooKeeperError` if the ensemble refuses the znode, as ``PersistentNode/waitUntilExists(timeout:)`` does;
    ///   ``RecipeError`` with code `.timedOut` if the timeout has passed, after which the membership continues to try to
    ///   join, or `.stopped` if the membership has stopped; `CancellationError`.
    /// - Complexity: Sends no requests.
    public func waitUntilJoined(timeout: Duration? = nil) async throws {
        try await node.waitUntilExists(timeout: timeout)
    }

    /// Takes part in the group until it is cancelled or shut down gracefully, and then leaves the group.
    ///
    /// - Throws: ``RecipeError`` with code `.duplicate`; `ZooKeeperError` with code `.clientStopped` or
    ///   `.authenticationFailed` if the client ends first; ``RecipeError`` or `ZooKeeperError` with code
    ///   `.invalidArgument` if the membership was run before.
    /// - Complexity: Joining takes 2 requests in 1 round trip, and more if parents have to be created. Leaving takes 3
    ///   requests in 2 round trips. Following the members costs as much as a ``ChildrenCache``.
    public func run() async throws {
        let (node, observer) = (node, observer)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await node.run() }
            group.addTask { try await observer.run() }
            group.addTask { try await self.refuseDuplicates() }
            defer { group.cancelAll() }
            // On a shutdown, the first two tasks end together. The end of the node is the end of the membership.
            while !group.isEmpty {
                try await group.next()
                if node.state == .stopped { return }
            }
        }
    }

    /// Fails if another owner's znode with the same ID has existed for too long.
    private func refuseDuplicates() async throws {
        guard let timeout = configuration.duplicateTimeout else { return }
        let clock = node.client.clock
        let timer = WakeUp()
        let occupant = Mutex<(znode: ExistingZNode, since: MonotonicInstant)?>(nil)
        let follower = Task { [node] in
            for await state in node.states {
                guard case .occupied(let znode) = state else {
                    occupant.withLock { $0 = nil }
                    continue
                }
                occupant.withLock { known in
                    let isSame = known?.znode.stat.czxid == znode.stat.czxid
                    known = (znode, isSame ? known?.since ?? clock.now : clock.now)
                }
                timer.signal()
            }
        }
        defer { follower.cancel() }
        while !Task.isCancelled {
            let known = occupant.withLock { $0 }
            let deadline = known.map { $0.since + timeout }
            if let known, let deadline, deadline <= clock.now { throw duplicate(of: known.znode) }
            await timer.wait(until: deadline, clock: clock)
        }
    }

    private func duplicate(of znode: ExistingZNode) -> RecipeError {
        let isOfClient = znode.stat.ephemeralOwner != nil && znode.stat.ephemeralOwner == node.client.session?.id
        return RecipeError(
            .duplicate, in: .group, path: node.path, occupant: znode,
            message: isOfClient
                ? "the znode was created by another part of this program, with the same client; "
                    + "two members must not have the same id"
                : "two members must not have the same id")
    }
}

/// Runs a membership for the duration of an operation.
///
/// Only the end of the operation stops the membership. The process stays in the group while the operation reacts to a
/// cancellation or to the graceful shutdown of a service group.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The path of the group. It is created with its parents if it does not exist.
///   - id: The ID of this member, which is the name of its znode. No two members may have the same ID.
///   - data: The data of this member that other members read.
///   - configuration: The configuration, or `nil` for the defaults.
///   - logger: The logger for problems of the membership.
///   - operation: The operation, which starts when this process has joined the group. When it returns or throws, the
///     process leaves the group.
/// - Returns: The result of `operation`.
/// - Throws: The errors of ``GroupMembership/init(client:path:id:data:configuration:logger:)`` and of joining the group,
///   such as ``RecipeError`` with code `.duplicate`; or the error of `operation`.
/// - Complexity: As ``GroupMembership/run()``.
public func withGroupMembership<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    id: String,
    data: [UInt8] = [],
    configuration: GroupMembership.Configuration? = nil,
    logger: Logger = .current,
    _ operation: (GroupMembership) async throws -> Result
) async throws -> Result {
    let membership = try GroupMembership(
        client: client, path: path, id: id, data: data, configuration: configuration, logger: logger)
    return try await withInnerService(membership, reportsEnd: RecipeError.reportsEnd(of: .group)) { membership in
        try await membership.waitUntilJoined()
        return try await operation(membership)
    }
}

/// An observer that lists the members of a group without taking part.
public final class GroupObserver: Service, Sendable {
    /// The path of the group.
    public let path: String
    private let cache: ChildrenCache

    /// Creates an observer, which knows nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client that reads the members.
    ///   - path: The path of the group. The znode does not have to exist.
    ///   - configuration: The configuration of the cache that follows the members.
    ///   - logger: The logger for failed reads.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, or `.invalidConfiguration` if the configuration is invalid.
    public init(
        client: ZooKeeperClient, path: String, configuration: ChildrenCache.Configuration = .init(),
        logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = path
        cache = try ChildrenCache(client: client, path: path, configuration: configuration, logger: logger)
    }

    /// The members that are known now; the value comes from memory.
    public var current: GroupMembers { members(of: nil) }

    /// The current members first, then the members after each change.
    ///
    /// A slow reader skips to the newest list. The sequence ends when the observer has stopped.
    public var changes: GroupChanges { changes(of: nil) }

    /// Returns the members and marks the one that belongs to a node.
    func members(of node: PersistentNode?) -> GroupMembers { GroupMembers(entry: cache.current, node: node) }

    func changes(of node: PersistentNode?) -> GroupChanges { GroupChanges(stream: cache.changes, node: node) }

    /// Follows the group until it is cancelled or shut down gracefully.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` if the client stops first, or `.invalidArgument` if the
    ///   observer was run before.
    /// - Complexity: As ``ChildrenCache/run()``.
    public func run() async throws {
        try await cache.run()
    }
}

/// Runs an observer for the duration of an operation.
///
/// - Parameters:
///   - client: A client that is running.
///   - path: The path of the group. The znode does not have to exist.
///   - configuration: The configuration of the cache that follows the members.
///   - logger: The logger for failed reads.
///   - operation: The operation that uses the observer, which knows nothing at first. When it returns or throws, the
///     observer stops.
/// - Returns: The result of `operation`.
/// - Throws: The errors of ``GroupObserver/init(client:path:configuration:logger:)``, or the error of `operation`.
/// - Complexity: As ``GroupObserver/run()``.
public func withGroupObserver<Result: Sendable>(
    client: ZooKeeperClient,
    path: String,
    configuration: ChildrenCache.Configuration = .init(),
    logger: Logger = .current,
    _ operation: (GroupObserver) async throws -> Result
) async throws -> Result {
    let observer = try GroupObserver(client: client, path: path, configuration: configuration, logger: logger)
    // If the client stops, the observer's sequence ends. Only the result of the operation matters.
    return try await withInnerService(observer, operation: operation)
}
