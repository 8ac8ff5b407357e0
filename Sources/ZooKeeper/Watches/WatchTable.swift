internal import Synchronization
internal import ZooKeeperTransport

/// The receiver of the single event of one watch.
///
/// The handler runs on the thread that delivers answers and events, in their order. It must only record the event and
/// return.
package final class WatchSink: Sendable {
    /// The share that the watch takes room from; `nil` for a vital watch.
    let share: WatchShare?
    private let handler: @Sendable (WatchEvent) -> Void
    private let isDone = Atomic(false)

    /// Creates a sink.
    ///
    /// - Parameter share: The share that the watch takes room from. `nil` is for watches that locks, elections and
    ///   windows depend on: those on held znodes, predecessors, signals and stragglers.
    package init(share: WatchShare? = nil, _ handler: @escaping @Sendable (WatchEvent) -> Void) {
        self.share = share
        self.handler = handler
    }

    /// Whether the event was received or the watch was removed.
    var isFinished: Bool { isDone.load(ordering: .acquiring) }

    /// Delivers the event, once.
    func fire(_ event: WatchEvent) {
        guard !isDone.exchange(true, ordering: .acquiringAndReleasing) else { return }
        handler(event)
    }

    /// Removes the watch: no event will be delivered.
    func giveUp() {
        isDone.store(true, ordering: .releasing)
    }
}

/// The watches of a session by path, as the server stores them.
///
/// The server stores one watch per path and kind, however many parties wait for it in this client. The watch is removed
/// on the server when the last party stops waiting and no read in flight would set it again.
///
/// After a reconnect, the C client sets all watches again in one packet. If the packet exceeds its `jute.maxbuffer`, a
/// server closes the connection, and every later one as well. The table therefore refuses watches that would not fit
/// into that packet. See ``WatchShare`` for the distribution of the room.
struct WatchTable {
    struct Key: Hashable {
        fileprivate var znode: ZNodePath
        var kind: TransportWatchKind

        init(path: String, kind: TransportWatchKind) {
            znode = ZNodePath(unchecked: path)
            self.kind = kind
        }

        var path: String { znode.string }

        /// The size of the path and of its length field in the packet.
        fileprivate var wireSize: Int { path.utf8.count + 4 }

        fileprivate static func precedes(_ left: Key, _ right: Key) -> Bool {
            if left.znode == right.znode { return left.kind == .data && right.kind == .children }
            return left.path.utf8.lexicographicallyPrecedes(right.path.utf8)
        }
    }

    /// A watch that was evicted for a vital one; it must be removed on the server first.
    struct Evicted {
        var key: Key
        var sinks: [WatchSink]
    }

    private struct Entry {
        var sinks: [WatchSink] = []
        /// The sinks of reads in flight that may set the watch.
        var arming: [WatchSink] = []
        /// Whether no party waits for the watch, and the request that removes it has not been sent: until then the C
        /// client has it.
        var isLeaving = false
        /// The share that the watch takes room from; `nil` for the room of vital watches.
        var share: WatchShare?

        var isWanted: Bool { !sinks.isEmpty || !arming.isEmpty }

        /// Updates the share; a watch that is being removed stays with the share that it had.
        mutating func updateShare() {
            guard let first = sinks.first ?? arming.first else { return }
            let isVital = sinks.contains { $0.share == nil } || arming.contains { $0.share == nil }
            share = isVital ? nil : first.share
        }
    }

    /// The state of a watch after its read was answered.
    enum Arming: Equatable {
        /// The watch is set, or the answer does not set one.
        case settled
        /// No party waits for the watch any more: it must be removed on the server.
        case unwanted
        /// All watches were lost after the read was sent, including this one.
        case gone
    }

    /// The size of the packet without the paths: its header, a transaction ID and the lengths of three lists.
    static let packetOverhead = 8 + 8 + 3 * 4

    /// The maximum size of the paths of all watches together, in bytes.
    let room: Int

    private var entries: [Key: Entry] = [:]
    private var vitalSize = 0
    private var sharedSize = 0
    private var shareSizes: [ObjectIdentifier: Int] = [:]

    init(maximumPacketSize: Int) {
        room = maximumPacketSize - Self.packetOverhead
    }

    /// The size of the watches in the packet that sets them again: each path and its length field.
    var wireSize: Int { vitalSize + sharedSize }

    /// The maximum size of the shared watches together; a quarter is reserved for vital ones, or an eighth more than
    /// they take.
    func sharedRoom(addingVital size: Int = 0) -> Int { max(0, room - max(room / 4, vitalSize + size + room / 8)) }

    var count: Int { entries.values.reduce(0) { $0 + $1.sinks.count } }

    /// Records that a read that sets a watch is about to be sent.
    ///
    /// - Returns: The shared watches that were evicted; `nil` if there is no room, and the read must not be sent.
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

    /// Whether a share may take more room: it may take twice as much as it leaves to others, so that room for one more
    /// remains.
    private func hasRoom(for size: Int, in share: WatchShare) -> Bool {
        let left = sharedRoom() - sharedSize - size
        return left >= 0 && shareSizes[ObjectIdentifier(share), default: 0] + size <= 2 * left
    }

    /// Evicts shared watches until a vital one fits, and the shared ones fit their own room: many at a time, so that it
    /// is rare.
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

    /// Records that the read was answered.
    ///
    /// - Parameter isSet: Whether the answer sets the watch.
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

    /// Records that a sink does not wait any more; returns whether the watch must now be removed on the server.
    mutating func giveUp(_ key: Key, sink: WatchSink) -> Bool {
        sink.giveUp()
        guard let index = entries[key]?.sinks.firstIndex(where: { $0 === sink }) else { return false }
        return change(key) { entry in
            entry.sinks.remove(at: index)
            entry.isLeaving = !entry.isWanted
            return entry.isLeaving
        }
    }

    /// Whether a party waits for the watch, or is about to.
    func isWanted(_ key: Key) -> Bool { entries[key]?.isWanted ?? false }

    /// Records that the request that removes a watch waits to be sent, also again after it was lost with its
    /// connection.
    mutating func willLeave(_ key: Key) {
        if !isWanted(key) { change(key) { $0.isLeaving = true } }
    }

    /// Records that the request that removes a watch is about to be sent: requests sent after it can use the room.
    mutating func leaves(_ key: Key) {
        if entries[key]?.isLeaving == true { change(key) { $0.isLeaving = false } }
    }

    /// Records an event; returns the sinks that waited for it.
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

    /// Removes all watches, which the server has lost; returns all sinks that waited, with their paths.
    mutating func removeAllWithPaths() -> [(path: String, sink: WatchSink)] {
        defer { (entries, vitalSize, sharedSize, shareSizes) = ([:], 0, 0, [:]) }
        let ordered = entries.sorted { Key.precedes($0.key, $1.key) }
        return ordered.flatMap { key, entry in entry.sinks.map { (key.path, $0) } }
    }

    /// Changes an entry and the room that it takes; removes an entry that is not needed.
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
