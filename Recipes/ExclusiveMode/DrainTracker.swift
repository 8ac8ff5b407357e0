internal import ZooKeeper

/// Counts the contenders in front of a window down, and knows who is missing.
///
/// Pure: it is told what was seen of each znode and says what to ask next.
struct DrainTracker: Sendable {
    struct Straggler: Sendable, Equatable {
        var name: String
        var sessionTimeout: Duration?
        var inside: Int?
        var oldest: Duration?
    }

    /// By znode name; `nil` while nothing is known but that it stands.
    private(set) var waiting: [String: Straggler?] = [:]
    private(set) var paused: Set<String> = []
    private(set) var forced: Set<String> = []
    /// The one that paused last.
    private(set) var slowest: String?

    /// Takes the contenders in front of the own znode: readers, and writers of other languages.
    init(listing: [String], own: ContenderName) {
        for name in listing.compactMap(ContenderName.init) where name.isBefore(own) {
            waiting[name.string] = .some(nil)
        }
    }

    var isDrained: Bool { waiting.isEmpty }

    /// Who has not paused, for people.
    var stragglers: [String] {
        waiting.map { name, straggler in
            guard let straggler else { return name }
            guard let inside = straggler.inside else { return straggler.name }
            let oldest = straggler.oldest.map { ", the oldest for \($0)" } ?? ""
            return "\(straggler.name) (\(inside) events inside\(oldest))"
        }.sorted()
    }

    mutating func seen(_ node: String, data: [UInt8]) {
        guard waiting[node] != nil else { return }
        let text = ProcessorText(data, nodeName: node)
        waiting[node] = Straggler(
            name: text.name, sessionTimeout: text.sessionTimeout, inside: text.inside, oldest: text.oldest)
    }

    mutating func gone(_ node: String) {
        guard let straggler = waiting.removeValue(forKey: node) else { return }
        let name = straggler?.name ?? node
        slowest = name
        paused.insert(name)
    }

    /// The places that are taken away, and the longest time that their sessions may go on.
    mutating func force(assumed: Duration) -> (nodes: [String], wait: Duration) {
        let nodes = waiting.keys.sorted()
        let wait = waiting.values.map { $0?.sessionTimeout ?? assumed }.max() ?? .zero
        for (node, straggler) in waiting { forced.insert(straggler?.name ?? node) }
        waiting = [:]
        return (nodes, wait)
    }
}
