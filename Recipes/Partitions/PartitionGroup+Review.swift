internal import ZooKeeper

// What follows from a plan, for each partition.
extension PartitionGroupStateMachine {
    /// - Returns: Whether there is one: not before the group is known, and this node in it.
    mutating func makePlan(now: MonotonicInstant) -> Bool {
        guard let planDue, planDue <= now else { return false }
        let plan = PartitionPlan(partitions: partitions, nodes: roster.counted, away: roster.awayNames.strings)
        self.plan = plan
        roles = Self.roles(of: name, in: plan)
        // Others may not wait for the same nodes, as when they came later, and so think that somebody else has room: where
        // this node would stand if nobody were waited for, it stands too, so that every partition has somebody.
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

    /// By id, those that should be here first: so that their owners stand in the queues of a new fleet before others do.
    func inOrder(_ ids: Set<ZNodeName>) -> [String] {
        (ids.filter { roles[$0] == .owner }.sorted() + ids.filter { roles[$0] != .owner }.sorted()).strings
    }

    /// Stands in a partition's queue, if there is room for one more.
    private mutating func sit(_ partition: Partition, as role: Role) {
        // Who is next in line watches its own candidate and the owner's.
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

    /// Says what is to be done about one partition, if anything is.
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

    /// Who owns a partition that it should not have goes on until the right one asks for it.
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
        let earliest = max(standing.since + configuration.settleTime, seat.notBefore ?? .distantPast)
        if seat.isSeeking {
            repeatAsking(id, &seat, now: now)
        } else if now < earliest {
            seat.dueAt = earliest
        } else if warmsUp, seat.warmth != .warm {
            if seat.warmth == .cold {
                seat.warmth = .warming
                actions.append(.warmUp(seat.partition))
            }
        } else if seat.isPaidFor || budget.take(now: now) {
            (seat.isPaidFor, seat.isSeeking, seat.askedAt) = (true, true, now)
            actions.append(.seek(id))
            repeatAsking(id, &seat, now: now)
        } else {
            seat.dueAt = budget.next
        }
    }

    private mutating func repeatAsking(_ id: String, _ seat: inout PartitionSeat, now: MonotonicInstant) {
        guard let interval = configuration.asksAgainAfter, let askedAt = seat.askedAt else { return }
        if askedAt + interval <= now {
            seat.askedAt = now
            actions.append(.stopSeeking(id))
            actions.append(.seek(id))
        }
        seat.dueAt = (seat.askedAt ?? now) + interval
    }

    private mutating func handOver(_ id: String, _ seat: inout PartitionSeat, owner: Int, now: MonotonicInstant) {
        guard seat.isLeading, seat.handingOverTo == nil, let plan, owner >= 0 else { return }
        let owner = plan.nodes[owner].name
        guard !owner.hasBytes(of: name), let candidate = seat.asks[owner] else { return }
        if let retryAt = seat.retryAt, now < retryAt { return seat.dueAt = retryAt }
        seat.handingOverTo = candidate
        actions.append(.handOver(id, to: candidate))
    }
}

/// A node's place in a partition's queue.
struct PartitionSeat: Sendable {
    enum Leaving: Int, Sendable, Comparable {
        case no, afterTerm, atOnce

        static func < (left: Leaving, right: Leaving) -> Bool { left.rawValue < right.rawValue }
    }

    enum Warmth: Sendable { case cold, warming, warm }

    var partition: Partition
    /// What its watches take, by the role that it was taken for.
    let watchedBytes: Int
    var state = LeaderState.waiting(position: nil)
    /// That the election was told to end.
    var leaving = Leaving.no
    var warmth = Warmth.cold
    var isSeeking = false
    /// Whether the budget of moves has been charged for the coming term.
    var isPaidFor = false
    var askedAt: MonotonicInstant?
    /// Who has asked for this place, with their candidates.
    var asks: [ZNodeName: ContenderName] = [:]
    var handingOverTo: ContenderName?
    /// When to try again to hand over.
    var retryAt: MonotonicInstant?
    /// Not to be asked for before, because something has failed here.
    var notBefore: MonotonicInstant?
    /// When there may be something to do.
    var dueAt: MonotonicInstant?
    private var failures = 0

    init(partition: Partition, watchedBytes: Int = 0) {
        self.partition = partition
        self.watchedBytes = watchedBytes
    }

    var isLeading: Bool { state.isLeading }

    /// Whether it stands in the queue, and somebody else in front of it.
    var isBehindSomebody: Bool {
        if case .waiting(let position?) = state { position > 0 } else { false }
    }

    mutating func take(_ state: LeaderState, settleTime: Duration, now: MonotonicInstant) {
        let wasLeading = isLeading
        self.state = state
        if let failure = state.failure { notBefore = now + failure.retriesAfter + settleTime }
        if isLeading {
            (isSeeking, isPaidFor, failures) = (false, false, 0)
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
        // The end of the term follows.
        case .done: return
        // Who comes back asks anew, and may have done so by now.
        case .gone: asks = asks.filter { $0.value != candidate }
        case .failed: retryAt = now + pause()
        }
        handingOverTo = nil
    }

    /// 1 s after the first failure, doubled with each that follows, at most 32 s.
    private mutating func pause() -> Duration {
        failures += 1
        return .seconds(1 << min(failures - 1, 5))
    }
}

/// How often partitions have come to a node and gone from it.
public struct PartitionMoves: Sendable, Hashable {
    /// How often this node has begun to own a partition.
    public var began = 0
    /// How often it has ceased to.
    public var ended = 0

    /// Makes a count of nothing.
    public init() {}
}
