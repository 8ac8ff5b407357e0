import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// What a session's watches may take in the packet that sets them again, and who gets how much of it.
///
/// Each path here takes 25 bytes, and there is room for 40 of them.
@Suite
struct WatchRoomTests {
    private var table = WatchTable(maximumPacketSize: 28 + 40 * 25)
    private let first = WatchShare()
    private let second = WatchShare()
    private let third = WatchShare()

    private func key(_ name: String, _ number: Int, _ kind: TransportWatchKind = .data) -> WatchTable.Key {
        let digits = String(number)
        let padding = String(repeating: "0", count: 20 - name.utf8.count - digits.utf8.count)
        return WatchTable.Key(path: "/\(name)\(padding)\(digits)", kind: kind)
    }

    /// Sets watches until one is refused; gives their sinks.
    private mutating func fill(_ name: String, _ share: WatchShare?, atMost limit: Int = 1000) -> [WatchSink] {
        var sinks: [WatchSink] = []
        while sinks.count < limit {
            let sink = WatchSink(share: share) { _ in }
            guard table.willArm(key(name, sinks.count), for: sink) != nil else { break }
            #expect(table.didArm(key(name, sinks.count), sink: sink, isSet: true) == .settled)
            sinks.append(sink)
        }
        return sinks
    }

    /// Begins to set a watch; says how many made way for it, or `nil` if it is refused.
    private mutating func evictions(_ name: String, _ number: Int, _ share: WatchShare? = nil) -> Int? {
        table.willArm(key(name, number), for: WatchSink(share: share) { _ in })?.count
    }

    @Test mutating func `the room is the packet less its header, and each path takes its length and 4 bytes`() {
        #expect(table.room == 1000)
        #expect(fill("own", nil).count == 40)
        #expect(table.wireSize == 1000)
        #expect(evictions("own", 99) == nil)
        #expect(evictions("own", 3) == 0, "one that is set takes no more room")
        _ = table.fired(TransportWatchEvent(kind: .dataChanged, path: key("own", 7).path))
        #expect(evictions("own", 99) == 0)
    }

    @Test mutating func `the two watches of one path are two lines of the packet`() {
        let sink = WatchSink { _ in }
        _ = table.willArm(key("own", 1), for: sink)
        _ = table.willArm(key("own", 1, .children), for: sink)
        #expect(table.wireSize == 50)
    }

    @Test mutating func `caches leave a quarter of the room, and one cache leaves something to the next`() {
        let shares = [first, second, third]
        var counts: [Int] = []
        for number in shares.indices { counts.append(fill("c\(number)", shares[number]).count) }
        #expect(counts == [20, 6, 2])
        #expect(table.wireSize <= 750)
        #expect(fill("own", nil, atMost: 10).count == 10, "without anybody making way")
    }

    @Test mutating func `vital watches take all of the room, and shared ones make way`() {
        #expect(fill("cache", first).count == 20)
        _ = fill("own", nil, atMost: 20)
        #expect(table.wireSize == 1000)
        let evicted = table.willArm(key("own", 20), for: WatchSink { _ in })
        // As many as leave the vital ones an eighth of the room for more: nobody makes way for each of these.
        #expect(evicted?.count == 6)
        #expect(evicted?.allSatisfy { $0.sinks.count == 1 && $0.key.path.hasPrefix("/cache") } == true)
        #expect(table.wireSize == 1000 - 6 * 25 + 25)
        for number in 21..<26 { #expect(evictions("own", number) == 0) }
        #expect(evictions("cache", 99, first) == nil)
        #expect(fill("more", nil).count == 14)
        #expect(table.wireSize == 1000)
    }

    @Test mutating func `a read on the wire does not make way`() {
        var number = 0
        while table.willArm(key("cache", number), for: WatchSink(share: first) { _ in }) != nil { number += 1 }
        #expect(fill("own", nil).count == 40 - number)
    }

    @Test mutating func `a watch that somebody vital waits for as well does not make way`() {
        let sinks = fill("cache", first)
        for number in sinks.indices {
            let vital = WatchSink { _ in }
            _ = table.willArm(key("cache", number), for: vital)
            #expect(table.didArm(key("cache", number), sink: vital, isSet: true) == .settled)
        }
        #expect(fill("own", nil).count == 40 - sinks.count)
    }

    @Test mutating func `what was given up takes room until the request that takes it away is sent`() {
        let sinks = fill("own", nil)
        #expect(table.giveUp(key("own", 0), sink: sinks[0]) == true)
        #expect(!table.isWanted(key("own", 0)))
        #expect(evictions("own", 99) == nil, "the C client still has the old one")
        table.leaves(key("own", 0))
        #expect(evictions("own", 99) == 0)
        // Lost with its connection: it is still there, and is to be taken away once more.
        table.willLeave(key("own", 0))
        #expect(table.wireSize == 1025)
        #expect(fill("more", nil).count == 0)
        table.leaves(key("own", 0))
        #expect(table.wireSize == 1000)
    }

    @Test mutating func `what was given up and fires, or goes with its session, takes no room`() {
        let sinks = fill("own", nil)
        _ = table.giveUp(key("own", 0), sink: sinks[0])
        _ = table.fired(TransportWatchEvent(kind: .deleted, path: key("own", 0).path))
        #expect(table.wireSize == 975)
        _ = table.giveUp(key("own", 1), sink: sinks[1])
        #expect(table.removeAllWithPaths().count == 38)
        #expect(table.wireSize == 0)
        #expect(fill("cache", first).count == 20)
    }

    @Test mutating func `a watch given up before its answer takes room until it is taken away`() {
        let sink = WatchSink { _ in }
        _ = table.willArm(key("own", 0), for: sink)
        _ = table.giveUp(key("own", 0), sink: sink)
        #expect(table.didArm(key("own", 0), sink: sink, isSet: true) == .unwanted)
        #expect(table.wireSize == 25)
        table.leaves(key("own", 0))
        #expect(table.wireSize == 0)
    }

    @Test(arguments: [1025, 99_999, 1_048_575, Int(Int32.max)])
    func `the sum of all that is admitted fits into the packet`(maximumPacketSize: Int) {
        var table = WatchTable(maximumPacketSize: maximumPacketSize)
        var generator = SeededGenerator(seed: UInt64(maximumPacketSize))
        let shares = [nil, WatchShare(), WatchShare()]
        var known: [(WatchTable.Key, WatchSink)] = []
        for number in 0..<2000 {
            let name = String(repeating: "x", count: Int.random(in: 1...400, using: &generator))
            let key = WatchTable.Key(path: "/\(number)\(name)", kind: .data)
            let sink = WatchSink(share: shares.randomElement(using: &generator)!) { _ in }
            if let evicted = table.willArm(key, for: sink) {
                for one in evicted { known.removeAll { $0.0 == one.key } }
                known.append((key, sink))
                if Bool.random(using: &generator) { _ = table.didArm(key, sink: sink, isSet: true) }
            }
            let size = known.reduce(28) { $0 + $1.0.path.utf8.count + 4 }
            #expect(size <= maximumPacketSize)
            #expect(table.wireSize == size - 28)
        }
        for (key, sink) in known where !table.giveUp(key, sink: sink) {
            _ = table.didArm(key, sink: sink, isSet: false)
        }
        for (key, _) in known { table.leaves(key) }
        #expect(table.wireSize == 0)
    }
}
