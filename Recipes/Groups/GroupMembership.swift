public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// Takes part in a group, and tells who else does.
///
/// Each member is an ephemeral znode of its id below the group's path, with the member's data: the layout of Apache
/// Curator's `GroupMember`. A member is listed while its session lives.
///
/// ```swift
/// let membership = try GroupMembership("/service/members", memberID: "web1", data: address, client: client)
/// async let run: Void = membership.run()
/// for await members in membership.changes where members.isLive {
///     balancer.rebuild(members.map(\.id))
/// }
/// ```
///
/// - The own member is listed when its znode really stands, and marked by ``GroupMember/isSelf``.
/// - The znode is kept as a ``PersistentNode`` keeps it. An id that somebody else stands under is respected: the membership
///   waits for it to go, as that of a crashed process does within its session timeout, and when it does not within
///   ``Configuration-swift.struct/duplicatePatience``, `run()` fails with ``RecipeError/Code/duplicate``, which names who it is.
///   A second membership of the same client is refused in the same way: it never writes or deletes the first one's znode.
/// - At the end only the own znode is deleted.
public final class GroupMembership: Service, Sendable {
    /// How a member takes part.
    public struct Configuration: Sendable {
        /// How long somebody else's znode of the same id is waited for before `run()` fails; `nil` waits without limit.
        ///
        /// It should be over the session timeout of the members, so that a process that was started again after a crash
        /// outwaits its own earlier life. Default: twice the client's session timeout.
        public var duplicatePatience: Duration?
        /// Says of a znode of the same id whether it is an earlier life of this member, to be replaced at once.
        ///
        /// For ids that no two processes can have at a time, as the names of a stateful set's pods. By default none is.
        public var isEarlierLife: @Sendable (StandingZNode) -> Bool = { _ in false }
        /// How the other members are followed.
        public var members = ChildrenCache.Configuration()

        /// Makes a configuration of the defaults for a client.
        public init(client: ZooKeeperClient) {
            duplicatePatience = client.configuration.sessionTimeout * 2
        }
    }

    /// The group's path.
    public let path: String
    /// The own id.
    public let memberID: String
    /// The own znode.
    public let node: PersistentNode
    private let configuration: Configuration
    private let observer: GroupObserver

    /// Makes a membership; nothing is created before it runs.
    ///
    /// - Parameters:
    ///   - path: The group; it and its parents are created as needed.
    ///   - memberID: The znode's name; two members must not have the same.
    ///   - data: What others see of this member.
    ///   - client: Whose session the member lives by.
    ///   - configuration: `nil` takes the defaults.
    ///   - logger: Where the membership tells of trouble.
    /// - Throws: `ZooKeeperError` with code `.invalidPath` when the path is none or the id cannot be a znode's name.
    public init(
        _ path: String, memberID: String, data: [UInt8] = [], client: ZooKeeperClient,
        configuration: Configuration? = nil, logger: Logger = .current
    ) throws(ZooKeeperError) {
        let configuration = configuration ?? Configuration(client: client)
        self.path = try ZNodePath(path).string
        self.memberID = memberID
        self.configuration = configuration
        node = try PersistentNode(
            ZNodePath(path).appending(memberID).string, data: data, client: client,
            replacing: configuration.isEarlierLife, logger: logger)
        observer = try GroupObserver(path, client: client, configuration: configuration.members, logger: logger)
    }

    /// The members that are known now; from memory.
    public var current: GroupMembers { observer.members(of: node) }

    /// The present members first, then each change; a slow reader skips to the newest.
    ///
    /// The sequence ends when the membership has stopped.
    public var changes: GroupChanges { observer.changes(of: node) }

    /// Where the own znode stands: the present state first, then all changes.
    public var states: AsyncStream<PersistentNodeState> { node.states }

    /// Sets the data that the other members see from now on.
    ///
    /// Returns at once and may be called at any time. ``waitUntilJoined()`` returns when the znode holds the data, and throws
    /// if the ensemble refuses it; ``write(_:)`` does both.
    public func setData(_ data: [UInt8]) {
        node.setData(data)
    }

    /// Sets the data that the other members see, and waits until the znode holds it.
    ///
    /// - Throws: The errors of ``PersistentNode/write(_:)``.
    public func write(_ data: [UInt8]) async throws {
        try await node.write(data)
    }

    /// Waits until the own znode stands, with the data that was set last.
    ///
    /// - Throws: `ZooKeeperError` if the ensemble refuses the znode, as ``PersistentNode/waitUntilStanding()`` does;
    ///   ``RecipeError`` with code `.stopped` when the membership has stopped; or `CancellationError`.
    public func waitUntilJoined() async throws {
        try await node.waitUntilStanding()
    }

    /// Takes part until it is cancelled or shut down gracefully; leaves the group then.
    ///
    /// - Throws: ``RecipeError`` with code `.duplicate`; `ZooKeeperError` with code `.clientStopped` or
    ///   `.authenticationFailed` when the client ends first.
    public func run() async throws {
        let (node, observer) = (node, observer)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await node.run() }
            group.addTask { try await observer.run() }
            group.addTask { try await self.refuseDuplicates() }
            defer { group.cancelAll() }
            // The first two end together at a shutdown; the node's end is the member's.
            while !group.isEmpty {
                try await group.next()
                if node.state == .stopped { return }
            }
        }
    }

    /// Fails when somebody else has stood under the own id for too long.
    private func refuseDuplicates() async throws {
        guard let patience = configuration.duplicatePatience else { return }
        let clock = node.client.clock
        let timer = WakeUp()
        let occupant = Mutex<(znode: StandingZNode, since: MonotonicInstant)?>(nil)
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
            let deadline = known.map { $0.since + patience }
            if let known, let deadline, deadline <= clock.now { throw duplicate(of: known.znode) }
            await timer.wait(until: deadline, clock: clock)
        }
    }

    private func duplicate(of znode: StandingZNode) -> RecipeError {
        let isOfClient = znode.stat.ephemeralOwner != nil && znode.stat.ephemeralOwner == node.client.session?.id
        return RecipeError(
            .duplicate, in: .group, path: node.path, occupant: znode,
            message: isOfClient
                ? "the znode was created by another part of this program, with the same client; "
                    + "two members must not have the same id"
                : "two members must not have the same id")
    }
}

/// Tells who is in a group without taking part.
public final class GroupObserver: Service, Sendable {
    /// The group's path.
    public let path: String
    private let cache: ChildrenCache

    /// Makes an observer; it knows nothing before it runs.
    ///
    /// - Parameters:
    ///   - path: The group. It need not stand.
    ///   - client: A client.
    ///   - configuration: How the members are followed.
    ///   - logger: Where the observer tells why it cannot read.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        _ path: String, client: ZooKeeperClient, configuration: ChildrenCache.Configuration = .init(),
        logger: Logger = .current
    ) throws(ZooKeeperError) {
        self.path = path
        cache = try ChildrenCache(path, client: client, configuration: configuration, logger: logger)
    }

    /// The members that are known now; from memory.
    public var current: GroupMembers { members(of: nil) }

    /// The present members first, then each change; a slow reader skips to the newest.
    ///
    /// The sequence ends when the observer has stopped.
    public var changes: GroupChanges { changes(of: nil) }

    /// The members, with the one marked that a node belongs to.
    func members(of node: PersistentNode?) -> GroupMembers { GroupMembers(entry: cache.current, node: node) }

    func changes(of node: PersistentNode?) -> GroupChanges { GroupChanges(stream: cache.changes, node: node) }

    /// Follows the group until it is cancelled or shut down gracefully.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` when the client ends first.
    public func run() async throws {
        try await cache.run()
    }
}
