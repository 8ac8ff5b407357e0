public import Logging
public import ServiceLifecycle
internal import Synchronization
public import ZooKeeper

/// Shares partitions out among nodes: each is active on exactly one, and goes home when its node comes back.
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
/// Every node runs the same program. Each computes from the live members who should have what (``PartitionPlan``), and
/// stands in the queue of a partition only where it should own it, is next in line, or still owns it. What makes a node the
/// owner is that it leads the partition's election: the plan may differ between nodes for a moment, the owner cannot.
///
/// - The worker runs while its node owns the partition. When the ownership is lost or handed over it is cancelled and
///   **awaited**, and only then can the next owner begin. A worker that returns or throws gives its partition up; its node
///   stands again, after a pause when it threw.
/// - When an owner goes, the next in line follows: at once when it leaves in order, else with its session's end.
/// - A node that comes back gets its partitions back: it is up for a while (``PartitionConfiguration/settleTime``), gets
///   ready (`warmUp`), and asks each owner, which ends its worker and hands over directly. Nobody polls.
/// - A node that has gone is waited for (``PartitionConfiguration/departureDelay``): meanwhile nothing moves but what it had.
///
/// The znodes of a partition are those of a ``LeaderSelector`` at `PATH/partitions/<id>`, with the node's name as id, so that
/// JVM processes can take part by Apache Curator's `LeaderSelector`; the members are those of a ``GroupMembership`` at
/// `PATH/members`.
///
/// What is not promised: a worker that ignores its cancellation may go on beside the next owner, which
/// ``Term/fencingToken`` and ``Term/guarded(_:)`` are for.
///
/// Costs a member znode for each node and two candidates for each partition; nothing is sent periodically for a partition
/// that is at home.
public final class PartitionGroup: Service, Sendable {
    /// What a worker is: the partition and the time of owning it.
    public typealias Worker = @Sendable (_ partition: Partition, _ term: Term) async throws -> Void

    struct Shared {
        var own: PartitionNode
        var partitions: [Partition]
        var inputs: [PartitionGroupStateMachine.Input] = []
        var elections: [ZNodeName: Election] = [:]
        /// What ended the group before it was stopped.
        var failure: (any Error)?
    }

    /// The group's znode.
    public let path: String
    /// This node's name.
    public let name: String
    let client: ZooKeeperClient
    let source: PartitionSource.Kind
    let configuration: PartitionConfiguration
    let logger: Logger
    let warmUp: (@Sendable (Partition) async throws -> Void)?
    let worker: Worker
    let membership: GroupMembership
    let broadcast: Broadcast<PartitionGroupState>
    let shared: Mutex<Shared>
    let wakeUp = WakeUp()
    let runOnce = RunOnce()

    /// Makes a node of a group; nothing is sent before it runs.
    ///
    /// - Parameters:
    ///   - client: Whose session the node and what it owns live by; it must be running, else everything waits.
    ///   - path: The group; it and its parents are created as needed.
    ///   - node: This node: its name, weight and capacity. No two may have one name at a time.
    ///   - partitions: What is shared out.
    ///   - configuration: How patient the node is.
    ///   - logger: Where the node tells what happens to it.
    ///   - warmUp: Gets ready for a partition that should be here and is owned by another node, which goes on until this
    ///     has returned; it is called again, after a pause, when it throws. A partition that nobody owns is not waited with.
    ///   - worker: Works on a partition while this node owns it; never twice at a time for one partition.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument` for names and
    ///   numbers that cannot be, and for a path that is the root.
    public init(
        client: ZooKeeperClient,
        path: String,
        node: PartitionNode,
        partitions: PartitionSource,
        configuration: PartitionConfiguration = PartitionConfiguration(),
        logger: Logger = .current,
        warmUp: (@Sendable (Partition) async throws -> Void)? = nil,
        worker: @escaping Worker
    ) throws {
        self.path = try ZNodePath(path).string
        try Self.check(self.path == "/" ? "path is the root; name a znode, such as /app/shards" : nil, path)
        try Self.check(node.problem, path)
        try Self.check(configuration.problem, path)
        name = node.name
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
            ZNodePath.child("members", of: path), memberID: node.name, data: node.bytes, client: client, logger: logger)
        broadcast = Broadcast(PartitionGroupState(node: node))
        shared = Mutex(Shared(own: node, partitions: list))
        // What a partition's election would refuse is refused now.
        _ = try makeElection(Partition("0"))
    }

    static func check(_ problem: String?, _ path: String) throws(RecipeError) {
        if let problem { throw RecipeError(.invalidArgument, in: .partitionGroup, path: path, message: problem) }
    }

    /// The group's own znodes are no partitions.
    private static func problem(ofSource source: String, in path: String) -> String? {
        let own = [
            path, ZNodePath.child("members", of: path), ZNodePath.child("partitions", of: path), cordons(in: path),
        ]
        guard own.containsBytes(of: source) else { return nil }
        return "the children of \"\(source)\" are the group's own; name a znode of the partitions, such as \(path)-list"
    }

    /// What this node knows and has: now.
    public var state: PartitionGroupState { broadcast.current }

    /// What this node knows and has: the present state first, then each change; a slow reader skips to the newest.
    ///
    /// The sequence ends when ``run()`` has.
    public var states: AsyncStream<PartitionGroupState> { broadcast.follow(.bufferingNewest(1)) }

    /// The present term of a partition; `nil` while this node does not own it, judged from memory with the deadline in it.
    public func term(of partition: String) -> Term? {
        shared.withLock { $0.elections[partition] }?.term
    }

    /// Why a partition belongs where it does, as this node sees it; `nil` for one that it does not know.
    public func explain(_ partition: String) -> String? { state.plan?.explain(partition) }

    /// Has other partitions shared out from now on, at any time.
    ///
    /// Workers of those that are not in the list any more are cancelled; what stays is not disturbed.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` for an id that cannot be a znode's name, or when the
    ///   partitions are the children of a znode; nothing is changed then.
    public func setPartitions(_ partitions: [Partition]) throws {
        if case .children(let source) = source {
            try Self.check("the partitions are the children of \"\(source)\"", path)
        }
        for partition in partitions { try Self.check(partition.problem, path) }
        post(.partitions(partitions))
    }

    /// Has this node take nothing more, and others come and take what it has, in order; ``uncordon()`` ends it.
    ///
    /// What nobody else can take it keeps. It lasts as long as this group runs; a mark that outlives the process is set by
    /// ``cordon(_:note:at:client:)``.
    public func cordon() { setOwn { $0.isCordoned = true } }

    /// Has this node take part again, unless an operator has cordoned it: that stays.
    public func uncordon() { setOwn { $0.isCordoned = false } }

    /// Changes how much this node takes, compared with the others.
    ///
    /// - Throws: ``RecipeError`` with code `.invalidArgument` for what cannot be.
    public func setWeight(_ weight: Double, capacity: Int? = nil) throws {
        try Self.check(PartitionNode(name, weight: weight, capacity: capacity).problem, path)
        setOwn { ($0.weight, $0.capacity) = (weight, capacity) }
    }

    /// Cordons this node, and waits until it owns nothing.
    ///
    /// - Throws: ``RecipeError`` with code `.stopped` when ``run()`` ends first; `CancellationError`.
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

    /// Takes part until it is cancelled or shut down gracefully.
    ///
    /// Then all workers end as ``PartitionConfiguration/terms`` say, and are awaited; each partition goes to the next in line
    /// at once.
    /// - Throws: ``RecipeError`` with code `.duplicate` when another node has this one's name; `ZooKeeperError` with code
    ///   `.clientStopped` or `.authenticationFailed` when the client ended first; ``RecipeError`` with code
    ///   `.invalidArgument` when it was run before.
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
