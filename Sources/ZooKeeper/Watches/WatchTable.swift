internal import Synchronization
internal import ZooKeeperTransport

/// Where one watch's single event goes.
///
/// The handler runs on the thread that delivers answers and events, in their order: it notes the fact and returns.
package final class WatchSink: Sendable {
    /// Whose room the watch takes; `nil` for a vital one.
    let share: WatchShare?
    private let handler: @Sendable (WatchEvent) -> Void
    private let isDone = Atomic(false)

    /// - Parameter share: Whose room the watch takes. `nil` is for what locks, elections and windows cannot do without: own
    ///   znodes, predecessors, signals and stragglers.
    package init(share: WatchShare? = nil, _ handler: @escaping @Sendable (WatchEvent) -> Void) {
        self.share = share
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
/// The server knows one watch for a path and table, however many parties wait for it here. It is taken away there when the
/// last one here gives up and no read that would set it again is on the wire.
///
/// After a reconnect the C client sets all watches again in one packet. A server refuses a packet over its `jute.maxbuffer`
/// and closes the connection, on each connection anew. What would not fit into that packet is therefore refused beforehand.
/// See ``WatchShare`` for who gets how much of the room.
struct WatchTable {
    struct Key: Hashable {
        fileprivate var znode: ZNodePath
        var kind: TransportWatchKind

        init(path: String, kind: TransportWatchKind) {
            znode = ZNodePath(unchecked: path)
            self.kind = kind
        }

        var path: String { znode.string }

        /// The path and its length, as the packet has them.
        fileprivate var wireSize: Int { path.utf8.count + 4 }

        fileprivate static func precedes(_ left: Key, _ right: Key) -> Bool {
            if left.znode == right.znode { return left.kind == .data && right.kind == .children }
            return left.path.utf8.lexicographicallyPrecedes(right.path.utf8)
        }
    }

    /// A watch that made way for a vital one: to be taken away at the server first.
    struct Evicted {
        var key: Key
        var sinks: [WatchSink]
    }

    private struct Entry {
        var sinks: [WatchSink] = []
        /// The sinks of reads on the wire that may set the watch.
        var arming: [WatchSink] = []
        /// Nobody waits for it, and the request that takes it away has not been sent: until then the C client has it.
        var isLeaving = false
        /// Whose room it takes; `nil` for the room of vital watches.
        var share: WatchShare?

        var isWanted: Bool { !sinks.isEmpty || !arming.isEmpty }

        /// What is leaving stays with the share that it had.
        mutating func updateShare() {
            guard let first = sinks.first ?? arming.first else { return }
            let isVital = sinks.contains { $0.share == nil } || arming.contains { $0.share == nil }
            share = isVital ? nil : first.share
        }
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

    /// What the packet takes beside the paths: its header, a transaction id and the lengths of three lists.
    static let packetOverhead = 8 + 8 + 3 * 4

    /// What the paths of all watches may take together.
    let room: Int

    private var entries: [Key: Entry] = [:]
    private var vitalSize = 0
    private var sharedSize = 0
    private var shareSizes: [ObjectIdentifier: Int] = [:]

    init(maximumPacketSize: Int) {
        room = maximumPacketSize - Self.packetOverhead
    }

    /// What the watches take in the packet that sets them again: each path and its length.
    var wireSize: Int { vitalSize + sharedSize }

    /// What the shared watches may take together: vital ones keep a quarter, or an eighth more than they have.
    func sharedRoom(addingVital size: Int = 0) -> Int { max(0, room - max(room / 4, vitalSize + size + room / 8)) }

    var count: Int { entries.values.reduce(0) { $0 + $1.sinks.count } }

    /// A read that sets a watch is about to be sent.
    ///
    /// - Returns: The shared watches that had to make way; `nil` if there is no room, and the read must not be sent.
    mutating func willArm(_ key: Key, for sink: WatchSink) -> [Evicted]? {
        var evicted: [Evicted] = []
        if entries[key] == nil {
            if let share = sink.share {
                guard hasRoom(for: key.wireSize, in: share) else { return nil }
            } else if wireSize + key.wireSize > room {
                guard let made = makeRoom(for: key.wireSize) else { return nil }
                evicted = made
            }
        }
        change(key) { entry in
            entry.arming.append(sink)
            entry.isLeaving = false
        }
        return evicted
    }

    /// A share may have twice as much as it leaves to the others, so that there is always something for one more.
    private func hasRoom(for size: Int, in share: WatchShare) -> Bool {
        let left = sharedRoom() - sharedSize - size
        return left >= 0 && shareSizes[ObjectIdentifier(share), default: 0] + size <= 2 * left
    }

    /// Takes shared watches out until a vital one fits, and the shared ones fit their own room: many at a time, and seldom.
    private mutating func makeRoom(for size: Int) -> [Evicted]? {
        guard sharedSize > 0 else { return nil }
        let candidates = entries.filter { $0.value.share != nil && $0.value.arming.isEmpty && !$0.value.isLeaving }
        let available = candidates.keys.reduce(0) { $0 + $1.wireSize }
        guard wireSize + size - available <= room else { return nil }
        let wanted = max(wireSize + size - room, sharedSize - sharedRoom(addingVital: size))
        var evicted: [Evicted] = []
        var freed = 0
        for (key, entry) in candidates.sorted(by: { Key.precedes($1.key, $0.key) }) where freed < wanted {
            freed += key.wireSize
            change(key) { $0.sinks = [] }
            evicted.append(Evicted(key: key, sinks: entry.sinks))
        }
        return evicted
    }

    /// The read was answered.
    ///
    /// - Parameter isSet: Whether the answer was one that sets the watch.
    mutating func didArm(_ key: Key, sink: WatchSink, isSet: Bool) -> Arming {
        guard let index = entries[key]?.arming.firstIndex(where: { $0 === sink }) else {
            return isSet ? .gone : .settled
        }
        return change(key) { entry in
            entry.arming.remove(at: index)
            if isSet, !sink.isFinished { entry.sinks.append(sink) }
            entry.isLeaving = isSet && !entry.isWanted
            return entry.isLeaving ? .unwanted : .settled
        }
    }

    /// Nobody waits for this watch any more; says whether it must now be taken away at the server.
    mutating func giveUp(_ key: Key, sink: WatchSink) -> Bool {
        sink.giveUp()
        guard let index = entries[key]?.sinks.firstIndex(where: { $0 === sink }) else { return false }
        return change(key) { entry in
            entry.sinks.remove(at: index)
            entry.isLeaving = !entry.isWanted
            return entry.isLeaving
        }
    }

    /// Whether somebody waits for the watch, or is about to.
    func isWanted(_ key: Key) -> Bool { entries[key]?.isWanted ?? false }

    /// The request that takes a watch away waits to be sent, also once more after it was lost with its connection.
    mutating func willLeave(_ key: Key) {
        if !isWanted(key) { change(key) { $0.isLeaving = true } }
    }

    /// The request that takes a watch away is about to be sent: what is sent after it finds the room free.
    mutating func leaves(_ key: Key) {
        if entries[key]?.isLeaving == true { change(key) { $0.isLeaving = false } }
    }

    /// An event came; gives those who waited for it.
    mutating func fired(_ event: TransportWatchEvent) -> [WatchSink] {
        var sinks: [WatchSink] = []
        for key in Self.keys(of: event) where entries[key] != nil {
            change(key) { entry in
                sinks += entry.sinks
                (entry.sinks, entry.isLeaving) = ([], false)
            }
        }
        return sinks
    }

    /// All watches are gone at the server; gives everybody who waited, with the path.
    mutating func removeAllWithPaths() -> [(path: String, sink: WatchSink)] {
        defer { (entries, vitalSize, sharedSize, shareSizes) = ([:], 0, 0, [:]) }
        let ordered = entries.sorted { Key.precedes($0.key, $1.key) }
        return ordered.flatMap { key, entry in entry.sinks.map { (key.path, $0) } }
    }

    /// Changes an entry and what it takes of the room; forgets one that nobody needs.
    @discardableResult
    private mutating func change<Result>(_ key: Key, _ body: (inout Entry) -> Result) -> Result {
        var entry = entries[key] ?? Entry()
        if entries[key] != nil { charge(-key.wireSize, to: entry.share) }
        let result = body(&entry)
        entry.updateShare()
        if entry.isWanted || entry.isLeaving {
            charge(key.wireSize, to: entry.share)
            entries[key] = entry
        } else {
            entries[key] = nil
        }
        return result
    }

    private mutating func charge(_ size: Int, to share: WatchShare?) {
        guard let share else { return vitalSize += size }
        sharedSize += size
        let total = shareSizes[ObjectIdentifier(share), default: 0] + size
        shareSizes[ObjectIdentifier(share)] = total == 0 ? nil : total
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
