internal import ZooKeeper

/// The decisions of one node of a group: which elections to join, when to request a partition, and when to hand one
/// over.
///
/// The state machine receives inputs in any order and returns actions. For each partition whose election the node has
/// joined, it keeps a ``PartitionSeat``, from the start of the election until its end.
struct PartitionGroupStateMachine: Sendable {
    enum Input: Sendable {
        /// The members of the group, from a live view.
        case members([PartitionNode])
        /// The participant IDs that operators have cordoned, from a live view.
        case cordons(Set<ZNodeName>)
        /// The transaction ID that created this node's member znode; `nil` if the znode does not exist.
        case standing(Int64?)
        /// This node's own description has changed.
        case own(PartitionNode)
        case partitions([Partition])
        /// The state of a partition's election has changed.
        case election(String, LeaderState)
        /// A partition's election has ended, and this node is no longer in its queue.
        case ended(String)
        /// A partition's election could not be started; the next plan tries again.
        case notStarted(String)
        /// Another node requests a partition that this node owns.
        case asked(String, by: String, candidate: ContenderName)
        case warmedUp(String, isDone: Bool)
        case handedOver(String, HandOver)
        /// Time has passed.
        case time
        /// The group is stopping: the elections are being ended, and no other may start.
        case stop
    }

    /// The outcome of an attempt to hand a partition over.
    enum HandOver: Sendable, Hashable {
        /// The term is ending.
        case done
        /// The requesting participant is no longer in the queue.
        case gone
        case failed
    }

    enum Action: Sendable, Hashable {
        /// Join a partition's election.
        case start(Partition)
        /// Leave a partition's election: at once, or after the current term.
        case leave(String, atOnce: Bool)
        /// Prepare for a partition that another node owns.
        case warmUp(Partition)
        /// Request the partition from its current owner and from each one that follows.
        case seek(String)
        case stopSeeking(String)
        case handOver(String, to: ContenderName)
    }

    /// The role that the plan assigns to this node for a partition.
    enum Role: Sendable, Hashable {
        /// The node should own the partition.
        case owner
        /// The node should be next in line.
        case next
    }

    let name: String
    let configuration: PartitionGroup.Configuration
    let warmsUp: Bool
    var roster: PartitionRoster
    var budget: MoveBudget
    var partitions: [Partition] = []
    /// The current plan; `nil` before the group is known.
    var plan: PartitionPlan?
    /// The roles of this node, by partition.
    var roles: [ZNodeName: Role] = [:]
    var seats: [ZNodeName: PartitionSeat] = [:]
    /// The partitions whose elections this node should join and cannot, because its session could not watch that many
    /// znodes.
    var refused: Set<ZNodeName> = []
    /// The size of all watches of ``seats``, in bytes.
    var watchedBytes = 0
    /// The size of a candidate's watch without the partition's ID, in bytes.
    let candidateBytes: Int
    var moves = PartitionMoves()
    var knownSince: MonotonicInstant?
    /// The creating transaction of this node's member znode, and the time since when it is known to exist.
    var standing: (czxid: Int64, since: MonotonicInstant)?
    var hasStood = false
    var isStopping = false
    var actions: [Action] = []

    init(own: PartitionNode, configuration: PartitionGroup.Configuration, warmsUp: Bool, candidateBytes: Int = 0) {
        name = own.id
        self.configuration = configuration
        self.warmsUp = warmsUp
        self.candidateBytes = candidateBytes
        roster = PartitionRoster(own: own, delay: configuration.absenceTimeout)
        budget = MoveBudget(limit: configuration.maximumMovesPerMinute)
    }

    /// Processes inputs and returns the resulting actions.
    mutating func handle(_ inputs: [Input], now: MonotonicInstant) -> [Action] {
        actions = []
        var needsPlan = roster.expire(now: now)
        var touched: Set<ZNodeName> = []
        for input in inputs { needsPlan = take(input, touched: &touched, now: now) || needsPlan }
        if plan == nil { needsPlan = true }
        if needsPlan, makePlan(now: now) {
            reviewAll(now: now)
        } else if plan != nil {
            for (id, seat) in seats { if let due = seat.dueAt, due <= now { touched.insert(id) } }
            for id in inOrder(touched) { review(id, now: now) }
        }
        return actions
    }

    /// The time of the next evaluation if there are no inputs before; `nil` if none is needed.
    var nextTime: MonotonicInstant? {
        if isStopping { return nil }
        var times = seats.values.compactMap(\.dueAt)
        if let expiry = roster.nextExpiry { times.append(expiry) }
        if plan == nil, let planDue { times.append(planDue) }
        return times.min()
    }

    /// The time of the first plan; `nil` while the group, the cordons or this node's membership are unknown.
    var planDue: MonotonicInstant? {
        guard hasStood, roster.cordons != nil, let knownSince else { return nil }
        return knownSince + configuration.startupDelay
    }

    /// Processes one input.
    ///
    /// - Returns: Whether the input requires a new plan.
    private mutating func take(_ input: Input, touched: inout Set<ZNodeName>, now: MonotonicInstant) -> Bool {
        switch input {
        case .members(let members):
            knownSince = knownSince ?? now
            return roster.update(members, now: now)
        case .cordons(let names): return roster.update(cordons: names)
        case .standing(let czxid):
            note(standing: czxid, now: now)
            touched.formUnion(seats.keys)
        case .own(let node):
            defer { roster.own = node }
            return node != roster.own
        case .partitions(let list):
            defer { partitions = list }
            return list != partitions
        case .election(let id, let state):
            take(state, of: id, now: now)
            touched.insert(id)
        case .notStarted(let id): removeSeat(id)
        case .ended(let id):
            removeSeat(id)
            // The freed watch budget may allow other partitions.
            touched.formUnion(refused)
            touched.insert(id)
        case .asked(let id, let requesterID, let candidate):
            // A request to a term that has ended is repeated to the next term.
            if seats[id]?.isLeading == true { seats[id]?.asks[requesterID] = candidate }
            touched.insert(id)
        case .warmedUp(let id, let isDone):
            seats[id]?.warmedUp(isDone: isDone, now: now)
            touched.insert(id)
        case .handedOver(let id, let end):
            seats[id]?.handedOver(end, now: now)
            touched.insert(id)
        case .time: break
        case .stop: isStopping = true
        }
        return false
    }

    private mutating func removeSeat(_ id: String) {
        guard let seat = seats.removeValue(forKey: id) else { return }
        watchedBytes -= seat.watchedBytes
        if seat.isLeading { moves.lost += 1 }
    }

    private mutating func note(standing czxid: Int64?, now: MonotonicInstant) {
        guard let czxid else { return standing = nil }
        // If the member znode was created again, as in a new session, the settle time starts again.
        if standing?.czxid != czxid {
            standing = (czxid, now)
            for id in seats.keys.sorted().strings where seats[id]?.isSeeking == true {
                seats[id]?.isSeeking = false
                actions.append(.stopSeeking(id))
            }
        }
        if !hasStood { (hasStood, plan) = (true, nil) }
    }

    private mutating func take(_ state: LeaderState, of id: String, now: MonotonicInstant) {
        guard let before = seats[id] else { return }
        seats[id]?.take(state, rebalanceDelay: configuration.rebalanceDelay, now: now)
        let isLeading = state.isLeading
        if isLeading, !before.isLeading { moves.gained += 1 }
        if !isLeading, before.isLeading { moves.lost += 1 }
        if before.isSeeking, seats[id]?.isSeeking == false { actions.append(.stopSeeking(id)) }
    }
}
