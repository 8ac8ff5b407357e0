/// The properties of a held znode that a ``HeldSet`` uses.
protocol Holdable: AnyObject {
    var path: String { get }
    var czxid: ZXID { get }
    /// The time until which the grant is valid.
    var validUntil: MonotonicInstant { get }
    /// The time when the watch is to be set.
    var watchDue: MonotonicInstant { get }
    /// Whether the watch has never been set.
    var needsWatch: Bool { get }
    /// Whether the znode is watched, so that it is valid for as long as its session is.
    var isSettled: Bool { get }
    /// Whether a heartbeat may check it.
    var allowsChecks: Bool { get }
    /// Whether only handles depend on it.
    var isHandle: Bool { get }
    func hasOutlivedDeadline(now: MonotonicInstant) -> Bool
}

/// The held znodes of a session, ordered by their paths.
///
/// Of `n` held znodes, `u` are not settled: created recently, or written by another client. While the session is valid,
/// finding the due work takes O(`u`). A change takes O(log `n`) comparisons and moves O(`n`) words.
struct HeldSet<Node: Holdable> {
    struct Weak {
        weak var node: Node?
    }

    /// The work that is due.
    struct Due {
        /// The znodes whose deadline has passed.
        var lost: [Node] = []
        /// The znodes whose watch has to be set.
        var unwatched: [Node] = []
        /// The time of the next check.
        var nextLook: MonotonicInstant?
    }

    /// The znodes that are valid, or may become valid; heartbeats check them.
    private var held: [Node] = []
    /// The held znodes that do not simply share the session's deadline.
    private var unsettled: [Node] = []
    /// The znodes that their holders have not released, valid or not: the session is not closed before they have.
    ///
    /// A znode that is no longer referenced has no holder.
    private(set) var unreleased: [ObjectIdentifier: Weak] = [:]
    /// The index of the next znode to check.
    private var turn = 0

    var isEmpty: Bool { held.isEmpty }

    mutating func insert(_ node: Node) {
        held.insertInOrder(node)
        unsettled.insertInOrder(node)
        reserve(node)
    }

    /// Adds a znode on which no grant depends yet.
    mutating func reserve(_ node: Node) { unreleased[ObjectIdentifier(node)] = Weak(node: node) }

    /// Records that the znode may not share the session's deadline any more.
    mutating func unsettle(_ node: Node) {
        if held.position(of: node) != nil, unsettled.position(of: node) == nil { unsettled.insertInOrder(node) }
    }

    /// Removes a znode that is no longer valid; its holder may not have released it yet.
    mutating func remove(_ node: Node) {
        if let index = held.position(of: node) { held.remove(at: index) }
        if let index = unsettled.position(of: node) { unsettled.remove(at: index) }
    }

    /// Removes a znode that its holder has released, or that does not exist any more.
    mutating func forget(_ node: Node) {
        remove(node)
        unreleased[ObjectIdentifier(node)] = nil
    }

    /// Removes and returns all held znodes, which are no longer valid.
    mutating func takeHeld() -> [Node] {
        defer { (held, unsettled) = ([], []) }
        return held
    }

    /// The znodes that their holders have not released.
    var nodesInUse: [Node] { unreleased.values.compactMap(\.node).sorted(by: Node.precedes) }

    /// Discards all unreleased znodes.
    mutating func forgetUsers() { unreleased = [:] }

    /// Whether a closing client has to wait for a holder; it waits for handles only until a deadline.
    func isInUse(now: MonotonicInstant, handlesUntil: MonotonicInstant) -> Bool {
        unreleased.values.contains { $0.node.map { !$0.isHandle || now < handlesUntil } ?? false }
    }

    /// Removes the znodes whose deadline has passed, and returns them with the other work that is due.
    ///
    /// - Parameter sessionValidUntil: The time until which settled znodes are valid.
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

    /// Returns the next znodes to check, in turn.
    ///
    /// - Parameter prefixThatFits: Returns how many of them fit into one packet.
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
    /// Returns the index of the first element that does not precede a znode.
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
