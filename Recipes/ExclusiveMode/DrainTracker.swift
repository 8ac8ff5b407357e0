internal import ZooKeeper

/// Tracks the contenders ahead of a window until none remains, and records which participants are missing.
///
/// A pure state machine: the caller reports what was observed of each znode.
struct DrainTracker: Sendable {
    struct Straggler: Sendable, Equatable {
        var name: String
        /// Whether its znode was read, or cannot be read for lack of permission.
        var isKnown = false
        var sessionTimeout: Duration?
        var inside: Int?
        var oldest: Duration?

        fileprivate func isNamed(in names: Set<String>) -> Bool { isKnown && names.contains(name) }
    }

    /// The contenders that the window waits for, by znode name.
    private(set) var waiting: [ZNodeName: Straggler] = [:]
    /// The members without a read znode, including processors that paused before the listing was made.
    private(set) var paused: Set<String> = []
    private(set) var evicted: Set<String> = []
    /// The processor that paused last; `nil` if none was waited for, or if the window waited for something else
    /// afterwards.
    private(set) var slowest: String?
    /// Whether another window was ahead in the queue: it may have left a record since this window was requested.
    let isBehindAnother: Bool

    /// Finds the contenders ahead of the window's own znode: readers, and writers of other client libraries.
    init(listing: [String], own: ContenderName, members: [String]) {
        let names = Dictionary(
            members.compactMap(MemberName.init(node:)).map { (ZNodeName($0.tag), $0.name) },
            uniquingKeysWith: { first, _ in first })
        var tags: Set<ZNodeName> = []
        // When the server's counter is exhausted, several znodes have the same number: any of them may be ahead.
        let inFront = listing.compactMap(ContenderName.init).filter { $0.number <= own.number && $0 != own }
        isBehindAnother = inFront.contains { $0.kind == .write }
        for node in inFront {
            let tag = MemberName.tag(ofContender: node.string)
            tags.insert(tag ?? "")
            waiting[node.string] = Straggler(name: tag.flatMap { names[$0] } ?? node.string)
        }
        paused = Set(names.filter { !tags.contains($0.key) }.values)
    }

    var isDrained: Bool { waiting.isEmpty }

    /// Whether an answer has arrived for every participant that has not paused.
    var isKnown: Bool { waiting.values.allSatisfy(\.isKnown) }

    /// The participants that have not paused, as text for display.
    var stragglers: [String] {
        waiting.values.map { straggler in
            guard let inside = straggler.inside else { return straggler.name }
            let oldest = straggler.oldest.map { ", the oldest for \($0)" } ?? ""
            return "\(straggler.name) (\(inside) \(noun("event", for: inside)) inside\(oldest))"
        }.sorted()
    }

    mutating func seen(_ node: String, data: [UInt8]) {
        guard waiting[node] != nil else { return }
        let text = ProcessorRecord(data, nodeName: node)
        var straggler = Straggler(name: text.name, isKnown: true, sessionTimeout: text.sessionTimeout)
        // The report that a gate made when it reopened is about an earlier window.
        if text.isDraining { (straggler.inside, straggler.oldest) = (text.inside, text.oldest) }
        waiting[node] = straggler
    }

    /// Records that a znode cannot be read for lack of permission, so nothing more will be learned about it.
    mutating func unreadable(_ node: String) {
        waiting[node]?.isKnown = true
    }

    mutating func gone(_ node: String) {
        guard let straggler = waiting.removeValue(forKey: node) else { return }
        slowest = straggler.name
        paused.insert(straggler.name)
    }

    /// Returns whether a participant that has not paused is to be evicted by an operator.
    ///
    /// What its znode contains must be known: the name, and how long its session may continue.
    func canEvict(_ names: Set<String>) -> Bool { waiting.values.contains { $0.isNamed(in: names) } }

    /// Evicts participants that have not paused.
    ///
    /// - Parameters:
    ///   - names: The IDs of the participants to evict; `nil` evicts all. Default: `nil`.
    ///   - assumed: The session timeout of a participant whose znode does not contain it.
    /// - Returns: Their read znodes, and the longest time for which their sessions may continue.
    mutating func evict(_ names: Set<String>? = nil, assumed: Duration) -> (nodes: [String], wait: Duration) {
        let evicted = waiting.filter { entry in names.map { entry.value.isNamed(in: $0) } ?? true }
        let wait = evicted.values.map { $0.sessionTimeout ?? assumed }.max() ?? .zero
        self.evicted.formUnion(evicted.values.map(\.name))
        for node in evicted.keys { waiting[node] = nil }
        forgetSlowest()
        return (evicted.keys.sorted().strings, wait)
    }

    /// Clears ``slowest``, because the window waited for something other than a processor that paused.
    mutating func forgetSlowest() {
        slowest = nil
    }
}
