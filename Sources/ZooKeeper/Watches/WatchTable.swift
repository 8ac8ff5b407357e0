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
        fileprivate var znode: ZNodePath
        var kind: TransportWatchKind

        init(path: String, kind: TransportWatchKind) {
            znode = ZNodePath(unchecked: path)
            self.kind = kind
        }

        var path: String { znode.string }

        fileprivate var wireSize: Int { path.utf8.count + 4 }
    }

    private struct Entry {
        var sinks: [WatchSink] = []
        /// Reads on the wire that may set the watch.
        var arming = 0
    }

    /// What became of a watch whose read was answered.
    enum Arming: Equatable {
        /// It stands, or the answer was one that sets none.
        case settled
        /// Nobody waits for it any more: it must be taken away at the server.
        case unwanted
        /// All watches have gone since the read was sent, this one with them.
        case gone
    }

    /// The most that the watches may take in one packet.
    ///
    /// On reconnecting the C client sets all of them with one; a packet over the server's 1 MiB would be refused, and sent
    /// again on the next connection, for ever.
    static let largestWireSize = 1_000_000

    private var entries: [Key: Entry] = [:]
    /// What the watches take in the packet that sets them again: each path and its length.
    private(set) var wireSize = 0

    var count: Int { entries.values.reduce(0) { $0 + $1.sinks.count } }

    /// A read that sets a watch is about to be sent.
    mutating func willArm(_ key: Key) {
        if entries[key] == nil { wireSize += key.wireSize }
        entries[key, default: Entry()].arming += 1
    }

    /// Whether one more watch can be set again after a lost connection.
    func hasRoom(for key: Key) -> Bool {
        entries[key] != nil || wireSize + key.wireSize <= Self.largestWireSize
    }

    /// The read was answered.
    ///
    /// - Parameter isSet: Whether the answer was one that sets the watch.
    mutating func didArm(_ key: Key, sink: WatchSink, isSet: Bool) -> Arming {
        guard var entry = entries[key], entry.arming > 0 else { return isSet ? .gone : .settled }
        entry.arming -= 1
        if isSet, !sink.isFinished { entry.sinks.append(sink) }
        entries[key] = entry
        let isUnused = prune(key)
        return isSet && isUnused ? .unwanted : .settled
    }

    /// Nobody waits for this watch any more; says whether it must now be taken away at the server.
    mutating func giveUp(_ key: Key, sink: WatchSink) -> Bool {
        sink.giveUp()
        guard let index = entries[key]?.sinks.firstIndex(where: { $0 === sink }) else { return false }
        entries[key]?.sinks.remove(at: index)
        return prune(key)
    }

    /// Whether somebody waits for the watch, or is about to.
    func isWanted(_ key: Key) -> Bool { entries[key] != nil }

    /// An event came; gives those who waited for it.
    mutating func fired(_ event: TransportWatchEvent) -> [WatchSink] {
        var sinks: [WatchSink] = []
        for key in Self.keys(of: event) {
            sinks += entries[key]?.sinks ?? []
            entries[key]?.sinks = []
            _ = prune(key)
        }
        return sinks
    }

    /// All watches are gone at the server; gives everybody who waited, with the path.
    mutating func removeAllWithPaths() -> [(path: String, sink: WatchSink)] {
        defer { (entries, wireSize) = ([:], 0) }
        let ordered = entries.sorted {
            ($0.key.znode, $0.key.kind == .data ? 0 : 1) < ($1.key.znode, $1.key.kind == .data ? 0 : 1)
        }
        return ordered.flatMap { key, entry in entry.sinks.map { (key.path, $0) } }
    }

    /// Forgets an entry that nobody needs; says whether it did.
    private mutating func prune(_ key: Key) -> Bool {
        guard let entry = entries[key], entry.sinks.isEmpty, entry.arming == 0 else { return false }
        entries[key] = nil
        wireSize -= key.wireSize
        return true
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
