/// What a ``HeldSet`` asks an own znode.
protocol Holdable: AnyObject {
    var path: String { get }
    var czxid: ZXID { get }
    /// The deadline until which the grant is valid.
    var validUntil: MonotonicInstant { get }
    /// When the watch is to be set.
    var watchDue: MonotonicInstant { get }
    /// Whether the watch has never been set.
    var needsWatch: Bool { get }
    /// Whether it is watched, so that it is valid for as long as its session is.
    var isSettled: Bool { get }
    /// Whether a proof may check it.
    var allowsChecks: Bool { get }
    /// Whether nothing but handles hold by it.
    var isHandle: Bool { get }
    func hasOutlivedDeadline(now: MonotonicInstant) -> Bool
}

/// The own znodes of a session, in the order of their paths.
///
/// Of `n` that are held, `u` are not settled: created a moment ago, or written by somebody. To look after them takes O(`u`)
/// while the session is valid; a change takes O(log `n`) comparisons and moves O(`n`) words.
struct HeldSet<Node: Holdable> {
    struct Weak {
        weak var node: Node?
    }

    /// What has become due.
    struct Due {
        /// They have outlived their deadline.
        var lost: [Node] = []
        /// Their watch has to be set.
        var unwatched: [Node] = []
        /// When to look again.
        var nextLook: MonotonicInstant?
    }

    /// Valid, or may become so: what heartbeats check.
    private var held: [Node] = []
    /// Those among them that do not just follow the session's deadline.
    private var unsettled: [Node] = []
    /// Those whose holders have not let go, valid or not: the session is not closed before they have.
    ///
    /// One that nothing refers to any more has no holder.
    private(set) var unreleased: [ObjectIdentifier: Weak] = [:]
    /// Whose turn it is to be checked.
    private var turn = 0

    var isEmpty: Bool { held.isEmpty }

    mutating func insert(_ node: Node) {
        held.insertInOrder(node)
        unsettled.insertInOrder(node)
        reserve(node)
    }

    /// Adds a znode that holds nothing yet.
    mutating func reserve(_ node: Node) { unreleased[ObjectIdentifier(node)] = Weak(node: node) }

    /// The znode may not follow the session's deadline any more.
    mutating func unsettle(_ node: Node) {
        if held.position(of: node) != nil, unsettled.position(of: node) == nil { unsettled.insertInOrder(node) }
    }

    /// The znode is not valid any more, while its holder may not have let go.
    mutating func remove(_ node: Node) {
        if let index = held.position(of: node) { held.remove(at: index) }
        if let index = unsettled.position(of: node) { unsettled.remove(at: index) }
    }

    /// Its holder has let go, or it does not exist any more.
    mutating func forget(_ node: Node) {
        remove(node)
        unreleased[ObjectIdentifier(node)] = nil
    }

    /// Takes what is held: none of it is valid any more.
    mutating func takeHeld() -> [Node] {
        defer { (held, unsettled) = ([], []) }
        return held
    }

    /// Those whose holders have not let go.
    var nodesInUse: [Node] { unreleased.values.compactMap(\.node).sorted(by: Node.precedes) }

    /// Forgets that holders have not let go.
    mutating func forgetUsers() { unreleased = [:] }

    /// Whether a closing client has to wait for a holder; for handles it does for a time.
    func isInUse(now: MonotonicInstant, handlesUntil: MonotonicInstant) -> Bool {
        unreleased.values.contains { $0.node.map { !$0.isHandle || now < handlesUntil } ?? false }
    }

    /// Takes out what has outlived its deadline, and looks at what else may have become due.
    ///
    /// - Parameter sessionValidUntil: Until when what is settled is valid.
    mutating func takeDue(now: MonotonicInstant, sessionValidUntil: MonotonicInstant) -> Due {
        unsettled.removeAll { $0.isSettled }
        var due = Due()
        due.lost = (sessionValidUntil <= now ? held : unsettled).filter { $0.hasOutlivedDeadline(now: now) }
        if !due.lost.isEmpty {
            let lost = Set(due.lost.map(ObjectIdentifier.init))
            held.removeAll { lost.contains(ObjectIdentifier($0)) }
            unsettled.removeAll { lost.contains(ObjectIdentifier($0)) }
        }
        due.unwatched = unsettled.filter { $0.needsWatch && $0.watchDue <= now }
        var looks = unsettled.map(\.validUntil) + unsettled.filter(\.needsWatch).map(\.watchDue)
        if !held.isEmpty { looks.append(sessionValidUntil) }
        due.nextLook = looks.filter { $0 > now }.min()
        return due
    }

    /// Takes those whose turn it is to be checked.
    ///
    /// - Parameter prefixThatFits: How many of them fit into one packet.
    mutating func nextChecks(atMost limit: Int, prefixThatFits: ([Node]) -> Int) -> [Node] {
        guard !held.isEmpty else { return [] }
        let start = turn % held.count
        var (nodes, ends) = ([Node](), [Int]())
        var index = start
        while index < start + held.count, nodes.count < limit {
            let node = held[index % held.count]
            index += 1
            guard node.allowsChecks else { continue }
            nodes.append(node)
            ends.append(index)
        }
        let count = prefixThatFits(nodes)
        let isRoundComplete = count == nodes.count && index == start + held.count
        if isRoundComplete { turn = 0 } else if count > 0 { turn = ends[count - 1] }
        return Array(nodes.prefix(count))
    }
}

extension Holdable {
    fileprivate static func precedes(_ left: Self, _ right: Self) -> Bool {
        (ZNodeName(left.path), left.czxid) < (ZNodeName(right.path), right.czxid)
    }
}

extension Array where Element: Holdable {
    /// The index of the first one that does not come before a znode.
    private func lowerBound(of node: Element) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = (low + high) / 2
            if Element.precedes(self[middle], node) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate func position(of node: Element) -> Int? {
        self[lowerBound(of: node)...].prefix { !Element.precedes(node, $0) }.firstIndex { $0 === node }
    }

    fileprivate mutating func insertInOrder(_ node: Element) { insert(node, at: lowerBound(of: node)) }
}
