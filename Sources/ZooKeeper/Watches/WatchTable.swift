internal import Synchronization
internal import ZooKeeperBridge

/// Where one watch's single event goes.
///
/// The handler runs on the thread that delivers answers and events, in their order: it notes the fact and returns.
package final class WatchSink: Sendable {
    private let handler: @Sendable (WatchEvent) -> Void
    private let isDone = Atomic(false)

    package init(_ handler: @escaping @Sendable (WatchEvent) -> Void) {
        self.handler = handler
    }

    /// Whether the event came or the watch was given up.
    var isFinished: Bool { isDone.load(ordering: .acquiring) }

    /// Delivers the event, once.
    func fire(_ event: WatchEvent) {
        guard !isDone.exchange(true, ordering: .acquiringAndReleasing) else { return }
        handler(event)
    }

    /// Gives the watch up: no event will come.
    func giveUp() {
        isDone.store(true, ordering: .releasing)
    }
}

/// A session's watches by path, as the server keeps them.
///
/// The server knows one watch a path and table, however many wait for it here; it is taken away there when the last one
/// here gives up and no read that would set it again is on the wire.
struct WatchTable {
    struct Key: Hashable {
        private var znode: ZNodePath
        var kind: TransportWatchKind

        init(path: String, kind: TransportWatchKind) {
            znode = ZNodePath(unchecked: path)
            self.kind = kind
        }

        var path: String { znode.string }
    }

    private struct Entry {
        var sinks: [WatchSink] = []
        /// Reads on the wire that may set the watch.
        var arming = 0
    }

    private var entries: [Key: Entry] = [:]
    /// Watches that nobody waits for any more and that could not be taken away, for want of a connection.
    private(set) var orphans: Set<Key> = []

    var count: Int { entries.values.reduce(0) { $0 + $1.sinks.count } }

    /// A read that sets a watch is about to be sent.
    mutating func willArm(_ key: Key) {
        entries[key, default: Entry()].arming += 1
    }

    /// The read was answered; gives a watch that must now be taken away at the server.
    ///
    /// - Parameter isSet: Whether the answer was one that sets the watch.
    mutating func didArm(_ key: Key, sink: WatchSink, isSet: Bool) -> Key? {
        guard var entry = entries[key] else { return nil }
        entry.arming -= 1
        if isSet, !sink.isFinished { entry.sinks.append(sink) }
        entries[key] = entry
        guard isSet else {
            prune(key)
            return nil
        }
        return removable(key)
    }

    /// Nobody waits for this watch any more; gives a watch that must now be taken away at the server.
    mutating func giveUp(_ key: Key, sink: WatchSink) -> Key? {
        sink.giveUp()
        guard let index = entries[key]?.sinks.firstIndex(where: { $0 === sink }) else { return nil }
        entries[key]?.sinks.remove(at: index)
        return removable(key)
    }

    /// An event came; gives those who waited for it.
    mutating func fired(_ event: TransportWatchEvent) -> [WatchSink] {
        var sinks: [WatchSink] = []
        for key in Self.keys(of: event) {
            sinks += entries[key]?.sinks ?? []
            entries[key]?.sinks = []
            orphans.remove(key)
            prune(key)
        }
        return sinks
    }

    /// All watches are gone at the server; gives everybody who waited, with the path.
    mutating func removeAllWithPaths() -> [(path: String, sink: WatchSink)] {
        defer { (entries, orphans) = ([:], []) }
        return entries.flatMap { key, entry in entry.sinks.map { (key.path, $0) } }
    }

    mutating func addOrphan(_ key: Key) {
        guard entries[key] == nil else { return }
        orphans.insert(key)
    }

    mutating func takeOrphans() -> Set<Key> {
        defer { orphans = [] }
        return orphans.filter { entries[$0] == nil }
    }

    private mutating func removable(_ key: Key) -> Key? {
        guard let entry = entries[key], entry.sinks.isEmpty, entry.arming == 0 else { return nil }
        entries[key] = nil
        return key
    }

    private mutating func prune(_ key: Key) {
        if let entry = entries[key], entry.sinks.isEmpty, entry.arming == 0 { entries[key] = nil }
    }

    private static func keys(of event: TransportWatchEvent) -> [Key] {
        let data = Key(path: event.path, kind: .data)
        let children = Key(path: event.path, kind: .children)
        return switch event.kind {
        case .created, .dataChanged: [data]
        case .childrenChanged: [children]
        case .deleted, .notWatching: [data, children]
        }
    }
}
