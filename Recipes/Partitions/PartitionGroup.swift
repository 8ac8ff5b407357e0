public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// A service that distributes partitions over the nodes of a group, each partition to exactly one node at a time.
///
/// When a node comes back, it gets its partitions back.
///
/// ```swift
/// let shards = (0..<64).map { Partition("shard-\($0)") }
/// let group = try PartitionGroup(
///     client: client, path: "/app/shards", node: "web1", partitions: .list(shards)
/// ) { partition, term in
///     for await event in events(of: partition.id) { try store.write(event, token: term.fencingToken) }
/// }
/// // In a ServiceGroup the group comes after its client.
/// try await ServiceGroup(services: [client, group], logger: logger).run()
/// ```
///
/// Every node runs the same program. Each node computes from the live members which node should own which partition
/// (``PartitionPlan``). A node joins the election of a partition only if it should own the partition, is next in line
/// for it, or still owns it. The leader of a partition's election is its owner. The plans of two nodes may differ for a
/// moment, but there is never more than one owner.
///
/// - The worker runs while its node owns the partition. If the ownership is lost or handed over, the worker is
///   cancelled and **awaited**; only then can the next owner start. A worker that returns or throws releases its
///   partition, and its node rejoins the election. It pauses first if the worker threw an error, or if terms shorter
///   than ``LeaderConfiguration/minimumTermDuration`` follow one another.
/// - If an owner leaves gracefully, the next node in line takes over at once; otherwise when the owner's session ends.
/// - A node that comes back gets its partitions back. It waits for ``PartitionGroup/Configuration/rebalanceDelay``, prepares
///   with `warmUp`, and sends a request to each owner. The owner ends its worker and hands the partition over directly.
///   Nothing polls.
/// - The plan keeps the partitions of a node that has left for ``PartitionGroup/Configuration/absenceTimeout``. During this
///   time only the partitions of that node move.
///
/// A partition uses the znodes of a ``LeaderSelector`` at `PATH/partitions/<id>`, with the node's participant ID. JVM
/// processes can therefore take part with Apache Curator's `LeaderSelector`. The members are those of a
/// ``GroupMembership`` at `PATH/members`.
///
/// A worker that ignores its cancellation may continue in parallel with the next owner. Use ``Term/fencingToken`` and
/// ``Term/transaction(_:)`` to reject its writes.
///
/// A group takes one member znode for each node and two candidates for each partition. No periodic requests are sent
/// for a partition that its home node owns.
public final class PartitionGroup: Service, Sendable {
    /// The work on one partition during one term of ownership.
    public typealias Worker = @Sendable (_ partition: Partition, _ term: Term) async throws -> Void

    struct Shared {
        var own: PartitionNode
        var partitions: [Partition]
        var inputs: [PartitionGroupStateMachine.Input] = []
        var elections: [ZNodeName: Election] = [:]
        /// The error that ended the group before it was stopped.
        var failure: (any Error)?
    }

    /// The path of the group's znode.
    public let path: String
    /// This node's participant ID.
    public let id: String
    let client: ZooKeeperClient
    let source: PartitionSource.Kind
    let configuration: PartitionGroup.Configuration
    let logger: Logger
    let warmUp: (@Sendable (Partition) async throws -> Void)?
    let worker: Worker
    let membership: GroupMembership
    let broadcast: Broadcast<PartitionGroupState>
    let shared: Mutex<Shared>
    let wakeUp = WakeUp()
    let runOnce = RunOnce()

    /// Creates a node of a group.
    ///
    /// No request is sent before ``run()`` is called.
    ///
    /// - Parameters:
    ///   - client: The client whose session holds the member znode and the candidates. It must be running; until then,
    ///     the group waits.
    ///   - path: The path of the group. The znode and its parents are created as needed.
    ///   - node: This node's participant ID, weight and capacity. The ID must be unique among the running nodes.
    ///   - partitions: The partitions to distribute.
    ///   - configuration: The timing and the limits of this node.
    ///   - logger: The logger for the events of this node.
    ///   - warmUp: Prepares for a partition that this node should own while another node owns it. The other node
    ///     continues to own it until the closure has returned. If the closure throws, it is called again after a pause.
    ///     It is not called for a partition without an owner. `nil` means that no preparation is necessary.
    ///   - worker: Works on a partition while this node owns it. It never runs twice at a time for the same partition.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument` if a
    ///   participant ID, a partition ID or a number is invalid, if the path is the root, or if the source is a znode of
    ///   the group.
    public init(
        client: ZooKeeperClient,
        path: String,
        node: PartitionNode,
        partitions: PartitionSource,
        configuration: PartitionGroup.Configuration = PartitionGroup.Configuration(),
        logger: Logger = .current,
        warmUp: (@Sendable (Partition) async throws -> Void)? = nil,
        worker: @escaping Worker
    ) throws {
        self.path = try ZNodePath(path).string
        try Self.check(self.path == "/" ? "path is the root; name a znode, such as /app/shards" : nil, path)
        try Self.check(node.problem, path)
        try Self.check(configuration.problem, path)
        id = node.id
        self.client = client
        source = partitions.kind
        self.configuration = configuration
        self.warmUp = warmUp
        self.worker = worker
        var logger = logger
        logger[metadataKey: "zookeeper.path"] = "\(path)"
        self.logger = logger
        var list: [Partition] = []
        switch partitions.kind {
        case .list(let partitions): list = partitions
        case .children(let source):
            try Self.check(Self.problem(ofSource: ZNodePath(source).string, in: self.path), path)
        }
        for partition in list { try Self.check(partition.problem, path) }
        membership = try GroupMembership(
            client: client, path: ZNodePath.child("members", of: path), id: node.id, data: node.bytes, logger: logger)
        broadcast = Broadcast(PartitionGroupState(node: node))
        shared = Mutex(Shared(own: node, partitions: list))
        // Reports an invalid configuration of the elections now, not when the first election starts.
        _ = try makeElection(Partition("0"))
    }

    static func check(_ problem: String?, _ path: String) throws(RecipeError) {
        if let problem { throw RecipeError(.invalidArgument, in: .partitionGroup, path: path, message: problem) }
    }

    /// Returns the error for a source whose children are the group's own znodes, or `nil` if the source is valid.
    private static func problem(ofSource source: String, in path: String) -> String? {
        let own = [
            path, ZNodePath.child("members", of: path), ZNodePath.child("partitions", of: path), cordons(in: path),
        ]
        guard own.containsBytes(of: source) else { return nil }
        return "the children of \"\(source)\" are the group's own; name a znode of the partitions, such as \(path)-list"
    }

    /// The current state of this node.
    public var state: PartitionGroupState { broadcast.current }

    /// The states of this node: the current one first, then each change.
    ///
    /// A slow consumer skips intermediate states and gets the newest one. The sequence ends when ``run()`` ends.
    public var states: AsyncStream<PartitionGroupState> { broadcast.follow(.bufferingNewest(1)) }

    /// Returns the current term of a partition; `nil` if this node does not own the partition.
    ///
    /// The answer comes from memory and takes the session's deadline into account. No request is sent.
    public func term(of partition: String) -> Term? {
        shared.withLock { $0.elections[partition] }?.term
    }

    /// Explains the placement of a partition in this node's plan; `nil` if the plan does not contain the partition.
    public func explain(_ partition: String) -> String? { state.plan?.explain(partition) }

    /// Replaces the list of partitions.
    ///
    /// The method may be called at any time. The workers of removed partitions are cancelled. Partitions that remain in
    /// the list are not affected.
    ///
    /// - Throws: ``RecipeError`` with code `.invalidArgument` if an ID is invalid, or if the partitions are the
    ///   children of a znode. In both cases nothing changes.
    public func setPartitions(_ partitions: [Partition]) throws {
        if case .children(let source) = source {
            try Self.check("the partitions are the children of \"\(source)\"", path)
        }
        for partition in partitions { try Self.check(partition.problem, path) }
        post(.partitions(partitions))
    }

    /// Cordons this node: it takes no more partitions, and the other nodes take over those it owns.
    ///
    /// Workers end as in any hand-over. The node keeps partitions that no other node can take. The cordon ends with
    /// ``uncordon()`` or with this process. For a cordon that outlives the process, use
    /// ``cordon(_:client:path:reason:)``.
    public func cordon() { setOwn { $0.isCordoned = true } }

    /// Uncordons this node, so that it takes partitions again.
    ///
    /// A cordon set by an operator remains.
    public func uncordon() { setOwn { $0.isCordoned = false } }

    /// Changes the weight and the capacity of this node.
    ///
    /// - Parameters:
    ///   - weight: The new weight, relative to the other nodes; it must be over 0.
    ///   - capacity: The maximum number of partitions; `nil` means no limit. Default: `nil`, which also removes an
    ///     earlier limit.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` if one of the values is invalid.
    public func setWeight(_ weight: Double, capacity: Int? = nil) throws {
        try Self.check(PartitionNode(id, weight: weight, capacity: capacity).problem, path)
        setOwn { ($0.weight, $0.capacity) = (weight, capacity) }
    }

    /// Cordons this node and waits until it owns no partition.
    ///
    /// - Throws: ``RecipeError`` with code `.stopped` if ``run()`` ends first; `CancellationError`.
    /// - Complexity: One write of the member znode, and for each owned partition the requests of its hand-over.
    public func drain() async throws {
        cordon()
        for await state in states where state.isCordoned && state.owned.isEmpty { return }
        try Task.checkCancellation()
        throw RecipeError(.stopped, in: .partitionGroup, path: path)
    }

    private func setOwn(_ change: (inout PartitionNode) -> Void) {
        let own = shared.withLock { shared in
            change(&shared.own)
            return shared.own
        }
        membership.setData(own.bytes)
        post(.own(own))
    }

    /// Takes part in the group until the task is cancelled or the process shuts down gracefully.
    ///
    /// At the end all workers stop as ``PartitionGroup/Configuration/leadership`` specifies, and are awaited. Each partition
    /// passes to the next node in line at once.
    ///
    /// - Throws: ``RecipeError`` with code `.duplicate` if another node uses the same participant ID; `ZooKeeperError`
    ///   with code `.clientStopped` or `.authenticationFailed` if the client ends first; ``RecipeError`` with code
    ///   `.invalidArgument` if this method was called before.
    /// - Complexity: 4 requests to be next in line for a partition, 5 to own a partition without an owner, and more
    ///   while parent znodes are missing. No periodic requests for a partition that its home node owns.
    public func run() async throws {
        try runOnce.begin("a node", in: .partitionGroup, path: path)
        let cancelled = OneShot<Void>()
        await runOnce.run {
            await PartitionGroupLoop(group: self).run(until: cancelled)
        } onCancel: {
            cancelled.set(())
            self.post(.stop)
        } onGracefulShutdown: {
            self.post(.stop)
        }
        broadcast.finish()
        if let failure = shared.withLock({ $0.failure }) { throw failure }
    }
}
