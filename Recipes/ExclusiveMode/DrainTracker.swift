internal import ZooKeeper

/// Counts the contenders in front of a window down, and knows who is missing.
///
/// Pure: it is told what was seen of each znode and says what to ask next.
struct DrainTracker: Sendable {
    struct Straggler: Sendable, Equatable {
        var name: String
        /// Whether its znode was read, or may not be read.
        var isKnown = false
        var sessionTimeout: Duration?
        var inside: Int?
        var oldest: Duration?
    }

    /// By znode name.
    private(set) var waiting: [ZNodeName: Straggler] = [:]
    /// Whoever takes part and does not process: also a processor that was quicker to pause than the listing was taken.
    private(set) var paused: Set<String> = []
    private(set) var evicted: Set<String> = []
    /// The processor that paused last; `nil` if none was waited for, or if something else was waited for after it.
    private(set) var slowest: String?
    /// Whether another window stood in front: it may have left a record since the own request.
    let isBehindAnother: Bool

    /// Takes the contenders in front of the own znode: readers, and writers of other languages.
    init(listing: [String], own: ContenderName, members: [String]) {
        let names = Dictionary(
            members.compactMap(MemberName.init(node:)).map { (ZNodeName($0.tag), $0.name) },
            uniquingKeysWith: { first, _ in first })
        var tags: Set<ZNodeName> = []
        // At the end of the server's counter several have one number: they may be in front.
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

    /// Whether there was an answer about everybody who has not paused.
    var isKnown: Bool { waiting.values.allSatisfy(\.isKnown) }

    /// Who has not paused, for people.
    var stragglers: [String] {
        waiting.values.map { straggler in
            guard let inside = straggler.inside else { return straggler.name }
            let oldest = straggler.oldest.map { ", the oldest for \($0)" } ?? ""
            return "\(straggler.name) (\(inside) events inside\(oldest))"
        }.sorted()
    }

    mutating func seen(_ node: String, data: [UInt8]) {
        guard waiting[node] != nil else { return }
        let text = ProcessorRecord(data, nodeName: node)
        var straggler = Straggler(name: text.name, isKnown: true, sessionTimeout: text.sessionTimeout)
        // What a gate reported when it reopened is about an earlier window.
        if text.isDraining { (straggler.inside, straggler.oldest) = (text.inside, text.oldest) }
        waiting[node] = straggler
    }

    /// Its znode may not be read, so that nothing more will be known.
    mutating func unreadable(_ node: String) {
        waiting[node]?.isKnown = true
    }

    mutating func gone(_ node: String) {
        guard let straggler = waiting.removeValue(forKey: node) else { return }
        slowest = straggler.name
        paused.insert(straggler.name)
    }

    /// Evicts everybody who has not paused.
    ///
    /// - Returns: Their read znodes, and the longest time for which their sessions may go on.
    mutating func evict(assumed: Duration) -> (nodes: [String], wait: Duration) {
        let nodes = waiting.keys.sorted().strings
        let wait = waiting.values.map { $0.sessionTimeout ?? assumed }.max() ?? .zero
        evicted.formUnion(waiting.values.map(\.name))
        waiting = [:]
        forgetSlowest()
        return (nodes, wait)
    }

    /// Clears ``slowest``: the window waited for something other than a processor that paused.
    mutating func forgetSlowest() {
        slowest = nil
    }
}
