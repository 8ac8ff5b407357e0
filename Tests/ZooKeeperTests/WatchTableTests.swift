import Testing
import ZooKeeperBridge

@testable import ZooKeeper

@Suite
struct WatchTableTests {
    private let data = WatchTable.Key(path: "/a", kind: .data)
    private let children = WatchTable.Key(path: "/a", kind: .children)
    private var table = WatchTable()

    private func sink() -> WatchSink { WatchSink { _ in } }

    /// A watch that stands.
    private mutating func armed(_ key: WatchTable.Key) -> WatchSink {
        let sink = sink()
        table.willArm(key)
        #expect(table.didArm(key, sink: sink, isSet: true) == .settled)
        return sink
    }

    private mutating func fire(_ kind: TransportWatchEvent.Kind, _ path: String = "/a") -> [WatchSink] {
        table.fired(TransportWatchEvent(kind: kind, path: path))
    }

    // MARK: Arming

    @Test mutating func `a watch is wanted from before its read is sent until its event`() {
        #expect(!table.isWanted(data))
        table.willArm(data)
        #expect(table.isWanted(data))
        #expect(table.count == 0)
        let sink = sink()
        #expect(table.didArm(data, sink: sink, isSet: true) == .settled)
        #expect(table.isWanted(data) && table.count == 1)
        #expect(fire(.dataChanged).map(ObjectIdentifier.init) == [ObjectIdentifier(sink)])
        #expect(!table.isWanted(data) && table.count == 0)
        #expect(fire(.dataChanged).count == 0)
    }

    @Test mutating func `a read that sets no watch leaves nothing behind`() {
        table.willArm(data)
        #expect(table.didArm(data, sink: sink(), isSet: false) == .settled)
        #expect(!table.isWanted(data) && table.count == 0)
    }

    @Test mutating func `reads on the wire are counted, each answered by itself`() {
        let (first, second) = (sink(), sink())
        table.willArm(data)
        table.willArm(data)
        #expect(table.didArm(data, sink: first, isSet: false) == .settled)
        #expect(table.isWanted(data))
        #expect(table.didArm(data, sink: second, isSet: true) == .settled)
        #expect(fire(.deleted).count == 1)
    }

    @Test mutating func `an event between the sending and the answer leaves the read its turn`() {
        let early = armed(data)
        table.willArm(data)
        #expect(fire(.dataChanged).first === early)
        #expect(table.isWanted(data))
        let late = sink()
        #expect(table.didArm(data, sink: late, isSet: true) == .settled)
        #expect(fire(.dataChanged).first === late)
    }

    @Test mutating func `a read that is answered after all watches have gone says so`() {
        table.willArm(data)
        #expect(table.removeAllWithPaths().count == 0)
        #expect(table.didArm(data, sink: sink(), isSet: true) == .gone)
        #expect(table.didArm(data, sink: sink(), isSet: false) == .settled)
        #expect(!table.isWanted(data))
    }

    // MARK: Giving up

    @Test mutating func `the last one to give up takes the watch away`() {
        let (first, second) = (armed(data), armed(data))
        #expect(table.giveUp(data, sink: first) == false)
        #expect(table.isWanted(data))
        #expect(table.giveUp(data, sink: second) == true)
        #expect(!table.isWanted(data))
        #expect(table.giveUp(data, sink: second) == false)
    }

    @Test mutating func `a watch given up before its read is answered is taken away after`() {
        let sink = sink()
        table.willArm(data)
        #expect(table.giveUp(data, sink: sink) == false)
        #expect(table.isWanted(data))
        #expect(table.didArm(data, sink: sink, isSet: true) == .unwanted)
        #expect(!table.isWanted(data))
    }

    @Test mutating func `a watch given up before its read sets none is nothing to take away`() {
        let sink = sink()
        table.willArm(data)
        #expect(table.giveUp(data, sink: sink) == false)
        #expect(table.didArm(data, sink: sink, isSet: false) == .settled)
        #expect(!table.isWanted(data))
    }

    @Test mutating func `a watch is not taken away under a read that sets it again`() {
        let old = armed(data)
        table.willArm(data)
        #expect(table.giveUp(data, sink: old) == false)
        #expect(table.isWanted(data))
        let new = sink()
        #expect(table.didArm(data, sink: new, isSet: true) == .settled)
        #expect(table.giveUp(data, sink: new) == true)
    }

    @Test mutating func `a watch given up after its event is nothing to take away`() {
        let sink = armed(data)
        #expect(fire(.deleted).count == 1)
        #expect(table.giveUp(data, sink: sink) == false)
    }

    @Test mutating func `nobody is told of what was given up`() {
        let told = OneShot<WatchEvent>()
        let sink = WatchSink { told.set($0) }
        table.willArm(data)
        _ = table.didArm(data, sink: sink, isSet: true)
        #expect(table.giveUp(data, sink: sink) == true)
        sink.fire(WatchEvent(kind: .deleted, path: "/a"))
        #expect(told.value == nil)
    }

    // MARK: Events

    @Test(
        arguments: [
            (.created, true, false), (.dataChanged, true, false), (.childrenChanged, false, true),
            (.deleted, true, true), (.notWatching, true, true),
        ] as [(TransportWatchEvent.Kind, Bool, Bool)])
    mutating func `an event reaches the watches of its kind`(
        kind: TransportWatchEvent.Kind, reachesData: Bool, reachesChildren: Bool
    ) {
        let (ofData, ofChildren) = (armed(data), armed(children))
        let elsewhere = armed(WatchTable.Key(path: "/b", kind: .data))
        let reached = fire(kind)
        #expect(reached.contains { $0 === ofData } == reachesData)
        #expect(reached.contains { $0 === ofChildren } == reachesChildren)
        #expect(!reached.contains { $0 === elsewhere })
        #expect(table.isWanted(data) != reachesData)
        #expect(table.isWanted(children) != reachesChildren)
    }

    @Test mutating func `everybody who waits at a path is told, once`() {
        let sinks = [armed(data), armed(data), armed(data)]
        #expect(Set(fire(.created).map(ObjectIdentifier.init)) == Set(sinks.map(ObjectIdentifier.init)))
        #expect(fire(.created).count == 0)
    }

    @Test mutating func `all watches go at once, with their paths`() {
        _ = (armed(data), armed(children), armed(WatchTable.Key(path: "/b", kind: .data)))
        #expect(table.count == 3)
        #expect(table.removeAllWithPaths().map(\.path).sorted() == ["/a", "/a", "/b"])
        #expect(table.count == 0 && !table.isWanted(data))
    }

    @Test mutating func `names that only look alike are watched apart`() {
        let (composed, decomposed) = ("/\u{e9}", "/e\u{301}")
        let sink = armed(WatchTable.Key(path: composed, kind: .data))
        #expect(fire(.dataChanged, decomposed).count == 0)
        #expect(fire(.dataChanged, composed).first === sink)
    }

    // MARK: Setting all of them again

    @Test mutating func `rule 10: watches that would not fit into one packet are not set`() {
        let long = String(repeating: "x", count: 99_990)
        let keys = (0..<11).map { WatchTable.Key(path: "/\($0 % 10)\(long)\($0 / 10)", kind: .data) }
        for key in keys.prefix(10) {
            #expect(table.hasRoom(for: key))
            table.willArm(key)
        }
        #expect(table.wireSize <= WatchTable.largestWireSize)
        #expect(!table.hasRoom(for: keys[10]))
        #expect(table.hasRoom(for: keys[0]), "one that is set takes no more room")
        #expect(table.didArm(keys[3], sink: sink(), isSet: false) == .settled)
        #expect(table.hasRoom(for: keys[10]))
        _ = table.removeAllWithPaths()
        #expect(table.wireSize == 0)
    }
}
