import ZooKeeper

@testable import ZooKeeperRecipes

/// A server's tree in memory with one-shot watches, and a subtree's state machine that reads from it.
///
/// Requests and events are kept in one order, as in a session, and handed over one at a time.
final class SubtreeModel {
    typealias Machine = SubtreeStateMachine

    private struct ZNode {
        var data: [UInt8]
        var stat: ZNodeStat
    }

    private enum Delivery {
        case answer(Machine.Read, Machine.Answer)
        case caughtUp(number: Int)
        case event(Machine.Watch, Machine.Notice)
    }

    private(set) var machine: Machine
    private(set) var connection: Machine.Connection?
    private var tree: [String: ZNode] = [:]
    private var watches: [String: [Machine.Watch]] = [:]
    private var deliveries: [Delivery] = []
    private var zxid: Int64 = 0
    private(set) var now = MonotonicInstant(nanoseconds: 0)
    /// What was asked since it was last taken.
    var asked: [String] = []
    private(set) var mostInFlight = 0
    private var inFlight = 0
    private(set) var published: [CacheChange] = []
    var unreadable: Set<String> = []
    /// How many watches the client has room for, as it says itself.
    var watchRoom = Int.max

    init(
        depth: Int = 1, showsRoot: Bool = false, readsData: Bool = true, watchBudget: Int = 1_000_000,
        maximumConcurrentReads: Int = 1000, isIncluded: @escaping @Sendable (String) -> Bool = { _ in true }
    ) {
        machine = Machine(
            Machine.Scope(
                root: "/r", depth: depth, showsRoot: showsRoot, readsData: readsData, watchBudget: watchBudget,
                pathOverhead: 4, maximumConcurrentReads: maximumConcurrentReads, interval: .seconds(30),
                isIncluded: isIncluded),
            now: now, seed: 1)
    }

    // MARK: The tree

    func create(_ path: String, _ data: [UInt8] = [0], isEphemeral: Bool = false) {
        zxid += 1
        let id = ZXID(rawValue: zxid)
        tree[path] = ZNode(
            data: data,
            stat: ZNodeStat(
                czxid: id, mzxid: id, pzxid: id, ephemeralOwner: isEphemeral ? SessionID(rawValue: 1) : nil))
        fire(path, .data, .changed)
        touch(parent(of: path))
    }

    func write(_ path: String, _ data: [UInt8]) {
        zxid += 1
        tree[path]?.data = data
        tree[path]?.stat.mzxid = ZXID(rawValue: zxid)
        fire(path, .data, .changed)
    }

    func delete(_ path: String) {
        zxid += 1
        tree[path] = nil
        fire(path, .data, .deleted)
        fire(path, .children, .deleted)
        touch(parent(of: path))
    }

    private func touch(_ path: String) {
        tree[path]?.stat.pzxid = ZXID(rawValue: zxid)
        fire(path, .children, .changed)
    }

    func stands(_ path: String) -> Bool { tree[path] != nil }
    func parentPath(of path: String) -> String { parent(of: path) }

    private func parent(of path: String) -> String { String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]) }

    private func fire(_ path: String, _ part: Machine.Part, _ notice: Machine.Notice) {
        let fired = (watches[path] ?? []).filter { $0.part == part }
        watches[path]?.removeAll { $0.part == part }
        for watch in fired { deliveries.append(.event(watch, notice)) }
    }

    func children(of path: String) -> [String] {
        tree.keys.filter { parent(of: $0) == path && $0 != path }.map { String($0.dropFirst(path.count + 1)) }.sorted()
    }

    /// What the server has below the root, as a cache should show it.
    func truth() -> [String: [UInt8]] {
        tree.filter { $0.key.hasPrefix("/r/") || machine.scope.showsRoot && $0.key == "/r" }.mapValues(\.data)
    }

    func shown() -> [String: [UInt8]] {
        guard case .present(let snapshot) = machine.content else { return [:] }
        return Dictionary(uniqueKeysWithValues: snapshot.map { ($0.path, $0.data ?? []) })
    }

    var watchCount: Int { watches.values.reduce(0) { $0 + $1.count } }
    var isLive: Bool { machine.staleSince(on: connection, now: now) == nil }

    // MARK: The connection

    func connect(epoch: Int = 1, number: Int) {
        connection = Machine.Connection(epoch: epoch, number: number)
        perform(machine.connectionChanged(to: connection, now: now))
    }

    /// Loses the connection: answers on the way are lost, watches and their events are not.
    func disconnect(losingWatchesAs notice: Machine.Notice? = nil) {
        connection = nil
        if let notice {
            deliveries.removeAll { if case .event = $0 { true } else { false } }
            let lost = watches.values.flatMap(\.self).sorted { $0.number < $1.number }
            watches = [:]
            for watch in lost { perform(machine.fired(watch, notice, on: nil, now: now)) }
        }
        let lost = deliveries
        deliveries = lost.filter { if case .event = $0 { true } else { false } }
        for delivery in lost {
            guard case .answer(let read, let answer) = delivery else { continue }
            inFlight -= 1
            if read.setsWatch, answer.setsWatch(of: read) {
                watches[path(read.key)]?.removeAll { $0.number == read.number }
            }
            perform(
                machine.answered(.failed(ZooKeeperError(.connectionLoss)), to: read, on: nil, now: now))
        }
        perform(machine.connectionChanged(to: nil, now: now))
    }

    func advance(_ span: Duration) {
        now = now + span
        perform(machine.wake(on: connection, now: now))
    }

    // MARK: Deliveries

    /// Hands one answer or event over; says whether there was one.
    @discardableResult
    func step() -> Bool {
        guard !deliveries.isEmpty, connection != nil else { return false }
        switch deliveries.removeFirst() {
        case .answer(let read, let answer):
            inFlight -= 1
            perform(machine.answered(answer, to: read, on: connection, now: now))
        case .caughtUp(let number):
            perform(machine.caughtUp(true, onConnection: number, connection: connection, now: now))
        case .event(let watch, let notice):
            perform(machine.fired(watch, notice, on: connection, now: now))
        }
        return true
    }

    func settle() { while step() {} }

    private func path(_ key: ZNodeKey) -> String { key.path(below: "/r") }

    private func perform(_ actions: Machine.Actions) {
        if let changes = machine.takePublication() { published += changes }
        for watch in actions.givenUp { watches[path(watch.key)]?.removeAll { $0.number == watch.number } }
        if actions.catchesUp, let connection {
            asked.append("sync")
            deliveries.append(.caughtUp(number: connection.number))
        }
        for read in actions.reads {
            let path = path(read.key)
            asked.append("\(read.question)\(read.setsWatch ? "+" : "") \(path)")
            inFlight += 1
            mostInFlight = max(mostInFlight, inFlight)
            var answer = answer(read.question, path)
            if read.setsWatch, watchCount >= watchRoom {
                var error = ZooKeeperError(.invalidArgument)
                error.isWatchRefusal = true
                answer = .failed(error)
            }
            if read.setsWatch, answer.setsWatch(of: read) {
                watches[path, default: []].append(.init(number: read.number, key: read.key, part: read.part))
            }
            deliveries.append(.answer(read, answer))
        }
    }

    private func answer(_ question: Machine.Read.Question, _ path: String) -> Machine.Answer {
        guard let znode = tree[path] else { return .missing }
        switch question {
        case .existence: return .exists
        case _ where unreadable.contains(path): return .failed(ZooKeeperError(.noAuth))
        case .data: return .data(znode.data, znode.stat)
        case .children: return .children(children(of: path), znode.stat)
        }
    }

    func takeAsked() -> [String] {
        defer { asked = [] }
        return asked
    }
}
