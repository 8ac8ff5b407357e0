import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite
struct WatchTableTests {
    private let data = WatchTable.Key(path: "/a", kind: .data)
    private let children = WatchTable.Key(path: "/a", kind: .children)
    private var table = WatchTable(maximumPacketSize: 1_048_575)

    private func sink() -> WatchSink { WatchSink { _ in } }

    /// A watch that stands.
    private mutating func armed(_ key: WatchTable.Key) -> WatchSink {
        let sink = sink()
        willArm(key, sink)
        #expect(table.didArm(key, sink: sink, isSet: true) == .settled)
        return sink
    }

    private mutating func willArm(_ key: WatchTable.Key, _ sink: WatchSink) {
        #expect(table.willArm(key, for: sink)?.count == 0)
    }

    private mutating func fire(_ kind: TransportWatchEvent.Kind, _ path: String = "/a") -> [WatchSink] {
        table.fired(TransportWatchEvent(kind: kind, path: path))
    }

    // MARK: Arming

    @Test mutating func `a watch is wanted from before its read is sent until its event`() {
        #expect(!table.isWanted(data))
        let sink = sink()
        willArm(data, sink)
        #expect(table.isWanted(data))
        #expect(table.count == 0)
        #expect(table.didArm(data, sink: sink, isSet: true) == .settled)
        #expect(table.isWanted(data) && table.count == 1)
        #expect(fire(.dataChanged).map(ObjectIdentifier.init) == [ObjectIdentifier(sink)])
        #expect(!table.isWanted(data) && table.count == 0)
        #expect(fire(.dataChanged).count == 0)
    }

    @Test mutating func `a read that sets no watch leaves nothing behind`() {
        let sink = sink()
        willArm(data, sink)
        #expect(table.didArm(data, sink: sink, isSet: false) == .settled)
        #expect(!table.isWanted(data) && table.count == 0)
        #expect(table.wireSize == 0)
    }

    @Test mutating func `reads on the wire are counted, each answered by itself`() {
        let (first, second) = (sink(), sink())
        willArm(data, first)
        willArm(data, second)
        #expect(table.didArm(data, sink: first, isSet: false) == .settled)
        #expect(table.isWanted(data))
        #expect(table.didArm(data, sink: second, isSet: true) == .settled)
        #expect(fire(.deleted).count == 1)
    }

    @Test mutating func `an event between the sending and the answer leaves the read its turn`() {
        let (early, late) = (armed(data), sink())
        willArm(data, late)
        #expect(fire(.dataChanged).first === early)
        #expect(table.isWanted(data))
        #expect(table.didArm(data, sink: late, isSet: true) == .settled)
        #expect(fire(.dataChanged).first === late)
    }

    @Test mutating func `a read that is answered after all watches have gone says so`() {
        let sink = sink()
        willArm(data, sink)
        #expect(table.removeAllWithPaths().count == 0)
        #expect(table.didArm(data, sink: sink, isSet: true) == .gone)
        #expect(table.didArm(data, sink: sink, isSet: false) == .settled)
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
        willArm(data, sink)
        #expect(table.giveUp(data, sink: sink) == false)
        #expect(table.isWanted(data))
        #expect(table.didArm(data, sink: sink, isSet: true) == .unwanted)
        #expect(!table.isWanted(data))
    }

    @Test mutating func `a watch given up before its read sets none is nothing to take away`() {
        let sink = sink()
        willArm(data, sink)
        #expect(table.giveUp(data, sink: sink) == false)
        #expect(table.didArm(data, sink: sink, isSet: false) == .settled)
        #expect(!table.isWanted(data))
    }

    @Test mutating func `a watch is not taken away under a read that sets it again`() {
        let (old, new) = (armed(data), sink())
        willArm(data, new)
        #expect(table.giveUp(data, sink: old) == false)
        #expect(table.isWanted(data))
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
        willArm(data, sink)
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
}
