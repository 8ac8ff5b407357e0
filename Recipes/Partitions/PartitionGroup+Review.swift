internal import ZooKeeper

// Applies a plan to each partition.
extension PartitionGroupStateMachine {
    /// Computes the plan when the group, the cordons and this node's own membership are known.
    ///
    /// - Returns: Whether there is a new plan.
    mutating func makePlan(now: MonotonicInstant) -> Bool {
        guard let planDue, planDue <= now else { return false }
        let plan = PartitionPlan(partitions: partitions, nodes: roster.counted, absent: roster.awayNames.strings)
        self.plan = plan
        roles = Self.roles(of: name, in: plan)
        // Other nodes may not keep partitions for the same absent nodes, for example if they joined later, and so may
        // expect another node to have room. If this node would have a role without the absent nodes, it joins as next
        // in line, so that every partition has a participant.
        if roster.isAnybodyAway, plan.nodes.contains(where: { $0.capacity != nil }) {
            let present = PartitionPlan(partitions: partitions, nodes: roster.present)
            roles.merge(Self.roles(of: name, in: present).mapValues { _ in .next }) { role, _ in role }
        }
        return true
    }

    private static func roles(of name: String, in plan: PartitionPlan) -> [ZNodeName: Role] {
        guard let own = plan.nodeIndices[name] else { return [:] }
        var roles: [ZNodeName: Role] = [:]
        for (partition, place) in zip(plan.partitions, plan.places) {
            if place.owner == own {
                roles[partition.id] = .owner
            } else if place.next == own {
                roles[partition.id] = .next
            }
        }
        return roles
    }

    mutating func reviewAll(now: MonotonicInstant) {
        refused = refused.filter { roles[$0] != nil }
        for id in inOrder(Set(roles.keys).union(seats.keys)) { review(id, now: now) }
    }

    /// Returns partition IDs in order, those that this node should own first.
    ///
    /// In a new fleet, the intended owners thereby enter the elections before the other nodes do.
    func inOrder(_ ids: Set<ZNodeName>) -> [String] {
        (ids.filter { roles[$0] == .owner }.sorted() + ids.filter { roles[$0] != .owner }.sorted()).strings
    }

    /// Joins a partition's election if the watch budget allows it.
    private mutating func sit(_ partition: Partition, as role: Role) {
        // A node that is next in line watches its own candidate and the owner's.
        let bytes = (candidateBytes + partition.id.utf8.count) * (role == .next ? 2 : 1)
        guard watchedBytes + bytes <= configuration.watchBudget else {
            refused.insert(partition.id)
            return
        }
        refused.remove(partition.id)
        watchedBytes += bytes
        seats[partition.id] = PartitionSeat(partition: partition, watchedBytes: bytes)
        actions.append(.start(partition))
    }

    /// Decides on the actions for one partition.
    mutating func review(_ id: String, now: MonotonicInstant) {
        guard let plan, !isStopping else { return }
        let index = plan.index(of: id)
        guard var seat = seats[id] else {
            if let role = roles[id], let index { sit(plan.partitions[index], as: role) }
            return
        }
        seat.dueAt = nil
        if let index { seat.partition = plan.partitions[index] }
        leaveIfUnwanted(id, &seat, exists: index != nil)
        seek(id, &seat, now: now)
        if let index { handOver(id, &seat, owner: plan.places[index].owner, now: now) }
        seats[id] = seat
    }

    /// Leaves an election without a role for this node.
    ///
    /// An owner continues until the right node requests the partition.
    private mutating func leaveIfUnwanted(_ id: String, _ seat: inout PartitionSeat, exists: Bool) {
        let leaving: PartitionSeat.Leaving = !exists ? .atOnce : roles[id] == nil ? .afterTerm : .no
        guard leaving > seat.leaving else { return }
        seat.leaving = leaving
        actions.append(.leave(id, atOnce: leaving == .atOnce))
    }

    private mutating func seek(_ id: String, _ seat: inout PartitionSeat, now: MonotonicInstant) {
        guard roles[id] == .owner, seat.leaving == .no, seat.isBehindSomebody, let standing else {
            if seat.isSeeking {
                seat.isSeeking = false
                actions.append(.stopSeeking(id))
            }
            return
        }
        let earliest = max(standing.since + configuration.rebalanceDelay, seat.notBefore ?? .distantPast)
        if seat.isSeeking {
            repeatAsking(id, &seat, now: now)
        } else if now < earliest {
            seat.dueAt = earliest
        } else if warmsUp, seat.warmth != .warm {
            if seat.warmth == .cold {
                seat.warmth = .warming
                actions.append(.warmUp(seat.partition))
            }
        } else if seat.isCharged || budget.take(now: now) {
            (seat.isCharged, seat.isSeeking, seat.askedAt) = (true, true, now)
            actions.append(.seek(id))
            repeatAsking(id, &seat, now: now)
        } else {
            seat.dueAt = budget.next
        }
    }

    private mutating func repeatAsking(_ id: String, _ seat: inout PartitionSeat, now: MonotonicInstant) {
        guard let interval = configuration.handOverRetryInterval, let askedAt = seat.askedAt else { return }
        if askedAt + interval <= now {
            seat.askedAt = now
            actions.append(.stopSeeking(id))
            actions.append(.seek(id))
        }
        seat.dueAt = (seat.askedAt ?? now) + interval
    }

    private mutating func handOver(_ id: String, _ seat: inout PartitionSeat, owner: Int, now: MonotonicInstant) {
        guard seat.isLeading, seat.handingOverTo == nil, let plan, owner >= 0 else { return }
        let owner = plan.nodes[owner].id
        guard !owner.hasBytes(of: name), let candidate = seat.asks[owner] else { return }
        if let retryAt = seat.retryAt, now < retryAt { return seat.dueAt = retryAt }
        seat.handingOverTo = candidate
        actions.append(.handOver(id, to: candidate))
    }
}

/// This node's participation in the election of a partition.
struct PartitionSeat: Sendable {
    enum Leaving: Int, Sendable, Comparable {
        case no, afterTerm, atOnce

        static func < (left: Leaving, right: Leaving) -> Bool { left.rawValue < right.rawValue }
    }

    enum Warmth: Sendable { case cold, warming, warm }

    var partition: Partition
    /// The size of the watches for the role with which the node joined, in bytes.
    let watchedBytes: Int
    var state = LeaderState.waiting(position: nil)
    /// Whether, and how, the election has been stopped.
    var leaving = Leaving.no
    var warmth = Warmth.cold
    var isSeeking = false
    /// Whether the move budget has been charged for the next term.
    var isCharged = false
    var askedAt: MonotonicInstant?
    /// The candidates of the nodes that have requested the partition, by participant ID.
    var asks: [ZNodeName: ContenderName] = [:]
    var handingOverTo: ContenderName?
    /// The time of the next attempt to hand the partition over.
    var retryAt: MonotonicInstant?
    /// The earliest time of the next request or warm-up, after a failure on this node.
    var notBefore: MonotonicInstant?
    /// The time of the next evaluation.
    var dueAt: MonotonicInstant?
    private var failures = 0

    init(partition: Partition, watchedBytes: Int = 0) {
        self.partition = partition
        self.watchedBytes = watchedBytes
    }

    var isLeading: Bool { state.isLeading }

    /// Whether this node is in the queue behind another participant.
    var isBehindSomebody: Bool {
        if case .waiting(let position?) = state { position > 0 } else { false }
    }

    mutating func take(_ state: LeaderState, rebalanceDelay: Duration, now: MonotonicInstant) {
        let wasLeading = isLeading
        self.state = state
        if let failure = state.failure { notBefore = now + failure.retryDelay + rebalanceDelay }
        if isLeading {
            (isSeeking, isCharged, failures) = (false, false, 0)
        }
        if wasLeading, !isLeading {
            (asks, handingOverTo, retryAt, warmth) = ([:], nil, nil, .cold)
        }
    }

    mutating func warmedUp(isDone: Bool, now: MonotonicInstant) {
        guard warmth == .warming else { return }
        warmth = isDone ? .warm : .cold
        if !isDone { notBefore = now + pause() }
    }

    mutating func handedOver(_ end: PartitionGroupStateMachine.HandOver, now: MonotonicInstant) {
        guard isLeading, let candidate = handingOverTo else { return }
        switch end {
        // The end of the term is reported later.
        case .done: return
        // A participant that comes back sends a new request, and may have done so already.
        case .gone: asks = asks.filter { $0.value != candidate }
        case .failed: retryAt = now + pause()
        }
        handingOverTo = nil
    }

    /// Returns the next pause: 1 s after the first failure, doubled after each further one, at most 32 s.
    private mutating func pause() -> Duration {
        failures += 1
        return .seconds(1 << min(failures - 1, 5))
    }
}

/// The number of partitions that a node has gained and lost.
public struct PartitionMoves: Sendable, Hashable {
    /// The number of times that this node started to own a partition.
    public var gained = 0
    /// The number of times that this node stopped owning a partition.
    public var lost = 0

    /// Creates a count of zero moves.
    public init() {}
}
