import ZooKeeper
import ZooKeeperRecipes

/// A queue's directory as the server keeps it, and contenders that act on it in an order drawn from a seed.
///
/// Answers may be lost before or after their request is executed, creates may be committed later than the connection
/// that carried them was lost (until the next `sync`), sessions may end, and anybody's znode may be deleted.
struct QueueModel {
    struct Node {
        var czxid: Int64
        var owner: Int
        var session: SessionID
    }

    /// One contender's end of the wire.
    struct Client {
        var machine: ContenderStateMachine
        var isWriter: Bool
        var session = SessionID(rawValue: 0)
        var epoch = 0
        var isSessionOver = true
        /// What it asked for, and nobody has answered.
        var pending: ContenderStateMachine.Action?
        /// The place that it was offered and is about to take.
        var move: ContenderStateMachine.Move?
        /// The watches on predecessors: name and the step to answer.
        var watches: [(name: String, step: Int)] = []
        var watchesOwn: String?
        /// A create that was sent, whose connection was lost, and that is not committed yet.
        var late: String?
        var granted: ContenderStateMachine.Own?
        var isDone = false
    }

    var random: SplitMix
    var nodes: [String: Node] = [:]
    var clients: [Client] = []
    var zxid: Int64 = 0
    var counter: Int32 = 0
    var faults = true
    /// The offers that stand.
    var offers: Set<String> = []
    /// Who stands beside a holder, and what its znode is called: nobody else may be granted before it.
    var successor: (index: Int, name: String)?
    var moves = 0
    var violations: [String] = []
    var grants = 0
    private static let loss = ZooKeeperError(.connectionLoss, isOutcomeUnknown: true)

    init(seed: UInt64, contenders: Int) {
        random = SplitMix(state: seed)
        for _ in 0..<contenders {
            let isWriter = Bool.random(using: &random)
            clients.append(
                Client(
                    machine: ContenderStateMachine(policy: isWriter ? .write : .read, waits: true), isWriter: isWriter)
            )
        }
        for index in clients.indices { clients[index].pending = clients[index].machine.receive(.start) }
    }

    var isDone: Bool { clients.allSatisfy(\.isDone) }

    /// Lets one thing happen.
    mutating func step() {
        let index = Int.random(in: clients.indices, using: &random)
        if faults, chance(200) { return endSession(of: index) }
        if faults, chance(150), let name = nodes.keys.sorted().randomElement(using: &random) { return remove(name) }
        if clients[index].late != nil, chance(4) { commitLate(index) }
        if let move = clients[index].move, chance(3) { return perform(move, index) }
        if let own = clients[index].granted {
            if chance(8) { offer(the: own) }
            if chance(20), let offer = offers.sorted().randomElement(using: &random) { offers.remove(offer) }
            if chance(5) { release(index) }
            return
        }
        guard let action = clients[index].pending else { return }
        clients[index].pending = nil
        if clients[index].isSessionOver { expire(action, index) } else { perform(action, index) }
    }

    // MARK: What contenders ask for

    private mutating func perform(_ action: ContenderStateMachine.Action, _ index: Int) {
        switch action {
        case .awaitSession: beginSession(index)
        case .look, .createParents, .watchDirectory, .pause: break
        case .join(let base, let discarding): join(base, discarding, index)
        case .find:
            commitLate(index)
            answer(index, .found(lost(index) ?? .success(names)))
        case .inspect(let names):
            answer(
                index,
                .inspected(
                    names.map { name in (name, lost(index) ?? nodes[name].map { .success(stat($0)) } ?? missing) }))
        case .list(_, let discarding):
            if let failure: Result<[String], ZooKeeperError> = lost(index) {
                if Bool.random(using: &random) { discarding.forEach { remove($0) } }
                return answer(index, .listed(failure))
            }
            discarding.forEach { remove($0) }
            answer(index, .listed(.success(names)))
        case .watch(let name, let own): watch(name, own, index)
        case .move: break
        case .hold(let own): answer(index, .held(isValid: nodes[own.name.string] != nil && !chance(3)))
        case .prove(let own):
            answer(
                index,
                .proved(
                    lost(index) ?? (nodes[own.name.string] == nil ? .failure(ZooKeeperError(.noNode)) : .success(()))))
        case .finish(.granted(let own), _): grant(own, index)
        case .finish: clients[index].isDone = true
        }
        if case .pause = action { answer(index, .paused) }
    }

    private mutating func join(_ base: String, _ discarding: [String], _ index: Int) {
        discarding.forEach { remove($0) }
        if let failure: Result<[String], ZooKeeperError> = lost(index) {
            switch Int.random(in: 0..<3, using: &random) {
            case 0: _ = create(base, index)
            case 1: clients[index].late = base
            default: break
            }
            return answer(index, .joined(.failure(Self.loss), failure))
        }
        let own = create(base, index)
        answer(index, .joined(.success(own), lost(index) ?? .success(names)))
    }

    private mutating func create(_ base: String, _ index: Int) -> ContenderStateMachine.Own {
        zxid += 1
        let digits = String(counter)
        counter += 1
        let string = base + String(repeating: "0", count: 10 - digits.count) + digits
        nodes[string] = Node(czxid: zxid, owner: index, session: clients[index].session)
        return ContenderStateMachine.Own(name: ContenderName(string)!, czxid: ZXID(rawValue: zxid))
    }

    private mutating func watch(_ name: String, _ own: String, _ index: Int) {
        if ContenderName(name)?.prefix == ContenderName(own)?.prefix { violations.append("waits for itself") }
        let step = clients[index].machine.step
        if let failure: Result<ZNodeStat, ZooKeeperError> = lost(index) { return answer(index, .watched(failure)) }
        guard let node = nodes[name] else { return answer(index, .watched(missing)) }
        clients[index].watches.append((name, step))
        answer(index, .watched(.success(stat(node))))
        if nodes[own] == nil {
            tell(index) { $0.receiveOwnGone(own) }
        } else {
            clients[index].watchesOwn = own
        }
    }

    /// A holder that writes offers its place to a writer that waits.
    private mutating func offer(the own: ContenderStateMachine.Own) {
        guard own.name.kind == .write else { return }
        let waiting = clients.indices.filter { clients[$0].isWriter && clients[$0].watchesOwn != nil }
        guard let index = waiting.randomElement(using: &random), let candidate = clients[index].watchesOwn else {
            return
        }
        let offer = "offer \(zxid) \(offers.count) of \(own.name) to \(candidate)"
        offers.insert(offer)
        tell(index) { $0.receiveOffer(of: own.name, to: candidate, offer: offer) }
    }

    /// The transaction: all of it or nothing, and its answer may be lost.
    private mutating func perform(_ move: ContenderStateMachine.Move, _ index: Int) {
        clients[index].move = nil
        let isLost = faults && chance(4)
        let isExecuted =
            !clients[index].isSessionOver && nodes[move.holder] != nil && offers.contains(move.offer)
            && nodes[move.from] != nil && !(isLost && chance(2))
        if isExecuted {
            zxid += 1
            moves += 1
            offers.remove(move.offer)
            nodes[move.to] = Node(czxid: zxid, owner: index, session: clients[index].session)
            if isNext(move) { successor = (index, move.to) }
            remove(move.from)
        }
        if isLost, let holder = ContenderName(move.holder) {
            tell(index) { $0.receiveOffer(of: holder, to: move.from, offer: move.offer) }
        } else if isExecuted {
            tell(index) { $0.receiveOwnGone(move.from) }
        }
    }

    /// Whether whoever moved is the next one: another one may have moved beside the holder, or its predecessor, before.
    private func isNext(_ move: ContenderStateMachine.Move) -> Bool {
        let number = ContenderName(move.to)?.number
        return !nodes.keys.contains { ![move.to, move.holder].contains($0) && ContenderName($0)?.number == number }
    }

    /// The grant itself: nobody else may be in whom it conflicts with.
    private mutating func grant(_ own: ContenderStateMachine.Own, _ index: Int) {
        grants += 1
        guard nodes[own.name.string]?.session == clients[index].session, !clients[index].isSessionOver else {
            // Lost between the check and the grant; the lease tells.
            return rejoin(index)
        }
        if let (chosen, name) = successor {
            if nodes[name] != nil, chosen != index { violations.append("\(index) before \(chosen), who was chosen") }
            successor = nil
        }
        clients[index].granted = own
        for (other, client) in clients.enumerated() where other != index && client.granted != nil {
            if client.isWriter || clients[index].isWriter { violations.append("\(index) beside \(other)") }
        }
    }

    private mutating func release(_ index: Int) {
        let prefix = clients[index].machine.prefix
        commitLate(index)
        clients[index].granted = nil
        for name in nodes.keys where name.hasPrefix(prefix) { remove(name) }
        clients[index].isDone = true
    }

    /// A lost holder comes again, as a new attempt.
    private mutating func rejoin(_ index: Int) {
        commitLate(index)
        let prefix = clients[index].machine.prefix
        for name in nodes.keys where name.hasPrefix(prefix) { remove(name) }
        clients[index].machine = ContenderStateMachine(policy: clients[index].isWriter ? .write : .read, waits: true)
        clients[index].pending = clients[index].machine.receive(.start)
    }

    // MARK: What happens to them

    private mutating func beginSession(_ index: Int) {
        if clients[index].isSessionOver {
            zxid += 1
            clients[index].session = SessionID(rawValue: zxid)
            clients[index].epoch += 1
            clients[index].isSessionOver = false
        }
        let (epoch, id) = (clients[index].epoch, clients[index].session)
        answer(index, .session(epoch: epoch, id: id, uuid: ContenderName.makeUUID(using: &random)))
    }

    private mutating func endSession(of index: Int) {
        guard !clients[index].isSessionOver else { return }
        clients[index].isSessionOver = true
        (clients[index].late, clients[index].move) = (nil, nil)
        let wasGranted = clients[index].granted != nil
        clients[index].granted = nil
        let session = clients[index].session
        let watches = clients[index].watches
        (clients[index].watches, clients[index].watchesOwn) = ([], nil)
        for (_, step) in watches { tell(index) { $0.receive(.predecessorEvent(.sessionEnded), step: step) } }
        for name in nodes.keys.sorted() where nodes[name]?.session == session { remove(name) }
        if wasGranted { rejoin(index) }
    }

    private mutating func expire(_ pending: ContenderStateMachine.Action, _ index: Int) {
        let over = ZooKeeperError(.sessionExpired)
        clients[index].pending = nil
        switch pending {
        case .join: answer(index, .joined(.failure(over), .failure(over)))
        case .find: answer(index, .found(.failure(over)))
        case .inspect(let names): answer(index, .inspected(names.map { ($0, .failure(over)) }))
        case .list: answer(index, .listed(.failure(over)))
        case .watch: answer(index, .watched(.failure(over)))
        case .prove: answer(index, .proved(.failure(over)))
        case .hold: answer(index, .held(isValid: false))
        case .awaitSession, .look, .createParents, .watchDirectory, .pause, .move, .finish: perform(pending, index)
        }
    }

    private mutating func commitLate(_ index: Int) {
        guard let base = clients[index].late else { return }
        clients[index].late = nil
        _ = create(base, index)
    }

    /// A znode goes, and everybody who watches it is told; a holder at once.
    private mutating func remove(_ name: String) {
        guard nodes.removeValue(forKey: name) != nil else { return }
        for index in clients.indices {
            let told = clients[index].watches.filter { $0.name == name }
            clients[index].watches.removeAll { $0.name == name }
            for (_, step) in told { tell(index) { $0.receive(.predecessorEvent(.gone), step: step) } }
            if clients[index].watchesOwn == name {
                clients[index].watchesOwn = nil
                tell(index) { $0.receiveOwnGone(name) }
            }
            if clients[index].granted?.name.string == name {
                clients[index].granted = nil
                rejoin(index)
            }
        }
    }

    private mutating func answer(_ index: Int, _ input: ContenderStateMachine.Input) {
        let step = clients[index].machine.step
        tell(index) { $0.receive(input, step: step) }
    }

    private mutating func tell(
        _ index: Int, _ event: (inout ContenderStateMachine) -> ContenderStateMachine.Action?
    ) {
        guard let action = event(&clients[index].machine) else { return }
        if case .move(let move) = action { clients[index].move = move } else { clients[index].pending = action }
    }

    private mutating func lost<Value>(_ index: Int) -> Result<Value, ZooKeeperError>? {
        faults && chance(8) ? .failure(Self.loss) : nil
    }

    private mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &random) == 0 }

    private var names: [String] { nodes.keys.sorted() }

    private var missing: Result<ZNodeStat, ZooKeeperError> { .failure(ZooKeeperError(.noNode)) }

    private func stat(_ node: Node) -> ZNodeStat {
        let czxid = ZXID(rawValue: node.czxid)
        return ZNodeStat(czxid: czxid, mzxid: czxid, pzxid: czxid, ephemeralOwner: node.session)
    }
}

/// A generator that gives the same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
