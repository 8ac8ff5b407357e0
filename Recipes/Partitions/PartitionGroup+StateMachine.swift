internal import ZooKeeper

/// Decides for one node of a group: in which partitions' queues it stands, when it asks an owner for a partition, and when
/// it hands one over.
///
/// It is told what happens, in any order, and says what to do. What it remembers of a partition is a seat: the node's
/// place in the partition's queue, from when it begins to stand there until the election has ended.
struct PartitionGroupStateMachine: Sendable {
    enum Input: Sendable {
        /// Who is in the group, as is known for sure now.
        case members([PartitionNode])
        /// Whom operators have cordoned, by name, as is known for sure now.
        case cordons(Set<ZNodeName>)
        /// The own member znode stands, by the transaction that created it; `nil` when it does not.
        case standing(Int64?)
        /// What this node says of itself.
        case own(PartitionNode)
        case partitions([Partition])
        /// A partition's election has come to a state.
        case election(String, LeaderState)
        /// A partition's election has ended: the node is not in its queue any more.
        case ended(String)
        /// A partition's election could not be started; it is tried again with the next plan.
        case notStarted(String)
        /// Another node asks for a partition that this one owns.
        case asked(String, by: String, candidate: ContenderName)
        case warmedUp(String, isDone: Bool)
        case handedOver(String, HandOver)
        /// Time has passed.
        case time
        /// Take nothing more: the elections are being ended.
        case stop
    }

    /// How an attempt to hand a partition over has ended.
    enum HandOver: Sendable, Hashable {
        /// The term is ending.
        case done
        /// Who asked does not stand in the queue any more.
        case gone
        case failed
    }

    enum Action: Sendable, Hashable {
        /// Stand in a partition's queue.
        case start(Partition)
        /// Leave its queue: at once, or after the term if there is one.
        case leave(String, atOnce: Bool)
        /// Get ready for a partition that somebody else owns.
        case warmUp(Partition)
        /// Ask who owns the partition, now and each that follows.
        case seek(String)
        case stopSeeking(String)
        case handOver(String, to: ContenderName)
    }

    /// What a plan wants of this node for a partition.
    enum Role: Sendable, Hashable {
        /// To own it.
        case owner
        /// To be next in line.
        case next
    }

    let name: String
    let configuration: PartitionConfiguration
    let warmsUp: Bool
    var roster: PartitionRoster
    var budget: MoveBudget
    var partitions: [Partition] = []
    /// `nil` before the group is known.
    var plan: PartitionPlan?
    /// By partition: those where this node is to stand.
    var roles: [ZNodeName: Role] = [:]
    var seats: [ZNodeName: PartitionSeat] = [:]
    /// Those where this node is to stand, and cannot: the session could not watch that many znodes.
    var refused: Set<ZNodeName> = []
    /// What the seats' watches take.
    var watchedBytes = 0
    /// What the watch of a candidate takes beside the partition's id.
    let candidateBytes: Int
    var moves = PartitionMoves()
    var knownSince: MonotonicInstant?
    /// Which member znode stands, and since when.
    var standing: (czxid: Int64, since: MonotonicInstant)?
    var hasStood = false
    var isStopping = false
    var actions: [Action] = []

    init(own: PartitionNode, configuration: PartitionConfiguration, warmsUp: Bool, candidateBytes: Int = 0) {
        name = own.name
        self.configuration = configuration
        self.warmsUp = warmsUp
        self.candidateBytes = candidateBytes
        roster = PartitionRoster(own: own, delay: configuration.departureDelay)
        budget = MoveBudget(limit: configuration.movesPerMinute)
    }

    /// Takes what has happened, and says what is to be done about all of it.
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

    /// When to be asked again if nothing happens before; `nil` for never.
    var nextTime: MonotonicInstant? {
        if isStopping { return nil }
        var times = seats.values.compactMap(\.dueAt)
        if let expiry = roster.nextExpiry { times.append(expiry) }
        if plan == nil, let planDue { times.append(planDue) }
        return times.min()
    }

    /// When the first plan is due; `nil` while the group, the operators' marks or the own place in it are not known.
    var planDue: MonotonicInstant? {
        guard hasStood, roster.cordons != nil, let knownSince else { return nil }
        return knownSince + configuration.gatherTime
    }

    /// - Returns: Whether there has to be a new plan.
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
            // There may be room for others now.
            touched.formUnion(refused)
            touched.insert(id)
        case .asked(let id, let asker, let candidate):
            // What is asked of a term that has ended is asked again of the next one.
            if seats[id]?.isLeading == true { seats[id]?.asks[asker] = candidate }
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
        if seat.isLeading { moves.ended += 1 }
    }

    private mutating func note(standing czxid: Int64?, now: MonotonicInstant) {
        guard let czxid else { return standing = nil }
        // One that is created anew, as in a new session, has to settle anew.
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
        seats[id]?.take(state, settleTime: configuration.settleTime, now: now)
        let isLeading = state.isLeading
        if isLeading, !before.isLeading { moves.began += 1 }
        if !isLeading, before.isLeading { moves.ended += 1 }
        if before.isSeeking, seats[id]?.isSeeking == false { actions.append(.stopSeeking(id)) }
    }
}
