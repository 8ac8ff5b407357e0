import Testing

@testable import ZooKeeper

@Suite
struct HeldSetTests {
    private final class Node: Holdable {
        let path: String
        let czxid: ZXID
        var validUntil: MonotonicInstant
        var watchDue = MonotonicInstant.distantPast
        var needsWatch = true
        var isSettled = false
        var allowsChecks = true
        var isHandle = false

        init(_ path: String, czxid: Int64 = 1, until seconds: Int64 = 10) {
            self.path = path
            self.czxid = ZXID(rawValue: czxid)
            validUntil = MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
        }

        /// Watched, and valid as its session is.
        static func settled(_ path: String) -> Node {
            let node = Node(path)
            (node.needsWatch, node.isSettled) = (false, true)
            return node
        }

        func hasOutlivedDeadline(now: MonotonicInstant) -> Bool { validUntil <= now }
    }

    private let start = MonotonicInstant(nanoseconds: 0)
    private var set = HeldSet<Node>()

    private mutating func due(after seconds: Int64, session: Int64 = 10) -> HeldSet<Node>.Due {
        set.takeDue(now: start + .seconds(seconds), sessionValidUntil: start + .seconds(session))
    }

    private mutating func checks(atMost limit: Int, fitting: Int = .max) -> [String] {
        set.nextChecks(atMost: limit) { min($0.count, fitting) }.map(\.path)
    }

    // MARK: What is held

    @Test mutating func `what is held is in the order of the bytes of its paths, then of its transactions`() {
        let nodes = [Node("/b"), Node("/a", czxid: 2), Node("/a", czxid: 1), Node("/é"), Node("/e\u{301}")]
        for node in nodes { set.insert(node) }
        #expect(
            set.takeHeld().map { "\($0.path) \($0.czxid.rawValue)" } == ["/a 1", "/a 2", "/b 1", "/e\u{301} 1", "/é 1"])
        #expect(set.isEmpty)
    }

    @Test mutating func `of two that hold by one znode the right one is removed`() {
        let (first, second) = (Node("/a"), Node("/a"))
        set.insert(first)
        set.insert(second)
        set.remove(first)
        set.remove(first)
        #expect(set.takeHeld().map(ObjectIdentifier.init) == [ObjectIdentifier(second)])
    }

    // MARK: What is due

    @Test mutating func `a znode's watch is due after its delay, until it is set`() {
        let node = Node("/a")
        node.watchDue = start + .seconds(2)
        set.insert(node)
        #expect(due(after: 1).nextLook == start + .seconds(2))
        #expect(due(after: 2).unwatched.count == 1)
        node.needsWatch = false
        let later = due(after: 2)
        #expect(later.unwatched.isEmpty && later.nextLook == start + .seconds(10))
    }

    @Test mutating func `a znode that is not settled is lost at its own deadline`() {
        let node = Node("/a", until: 3)
        node.needsWatch = false
        set.insert(node)
        set.insert(.settled("/b"))
        let first = due(after: 1)
        #expect(first.lost.isEmpty && first.nextLook == start + .seconds(3))
        #expect(due(after: 3).lost.map(\.path) == ["/a"])
        set.remove(node)
        #expect(due(after: 3).nextLook == start + .seconds(10))
    }

    @Test mutating func `all are lost at the session's deadline`() {
        for path in ["/b", "/a", "/c"] { set.insert(.settled(path)) }
        #expect(due(after: 9).lost.isEmpty)
        let last = due(after: 10)
        #expect(last.lost.map(\.path) == ["/a", "/b", "/c"] && last.nextLook == nil)
        #expect(set.isEmpty)
    }

    @Test mutating func `a settled znode that is written is looked after again, and one that was released is not`() {
        let (node, released) = (Node.settled("/a"), Node.settled("/b"))
        set.insert(node)
        set.insert(released)
        set.remove(released)
        _ = due(after: 0)
        for one in [node, released] {
            (one.isSettled, one.validUntil) = (false, start + .seconds(4))
            set.unsettle(one)
            set.unsettle(one)
        }
        #expect(due(after: 0).nextLook == start + .seconds(4))
        #expect(due(after: 4).lost.map(\.path) == ["/a"])
    }

    @Test mutating func `nothing held, there is nothing to look at`() {
        #expect(due(after: 0).nextLook == nil)
    }

    @Test mutating func `to look after settled znodes does not take longer the more there are`() {
        final class Counted: Holdable {
            nonisolated(unsafe) static var questions = 0
            let path: String
            let (czxid, watchDue) = (ZXID(rawValue: 1), MonotonicInstant.distantPast)
            let (needsWatch, isSettled, allowsChecks, isHandle) = (false, true, true, false)
            var validUntil: MonotonicInstant {
                Self.questions += 1
                return .distantPast
            }

            init(path: String) { self.path = path }
            func hasOutlivedDeadline(now: MonotonicInstant) -> Bool {
                Self.questions += 1
                return false
            }
        }
        var set = HeldSet<Counted>()
        for number in 0..<1000 { set.insert(Counted(path: "/\(number)")) }
        for second in 0..<9 {
            _ = set.takeDue(now: start + .seconds(second), sessionValidUntil: start + .seconds(10))
        }
        #expect(Counted.questions == 0)
    }

    // MARK: Checks

    @Test mutating func `all are checked in turns`() {
        for path in ["/a", "/b", "/c", "/d", "/e"] { set.insert(Node(path)) }
        #expect(checks(atMost: 2) == ["/a", "/b"])
        #expect(checks(atMost: 2) == ["/c", "/d"])
        #expect(checks(atMost: 3) == ["/e", "/a", "/b"])
        #expect(checks(atMost: 9, fitting: 1) == ["/c"])
        #expect(checks(atMost: 9) == ["/d", "/e", "/a", "/b", "/c"])
        #expect(checks(atMost: 9) == ["/a", "/b", "/c", "/d", "/e"])
    }

    @Test mutating func `what may not be checked is passed over`() {
        let nodes = ["/a", "/b", "/c", "/d"].map { Node($0) }
        for node in nodes {
            node.allowsChecks = node.path != "/b" && node.path != "/d"
            set.insert(node)
        }
        #expect(checks(atMost: 1) == ["/a"])
        #expect(checks(atMost: 1) == ["/c"])
        #expect(checks(atMost: 9) == ["/a", "/c"])
        set.remove(nodes[0])
        set.remove(nodes[2])
        #expect(checks(atMost: 9) == [])
    }

    // MARK: Users

    private func isInUse(_ seconds: Int64) -> Bool {
        set.isInUse(now: start + .seconds(seconds), handlesUntil: start + .seconds(5))
    }

    @Test mutating func `a closing client waits for bodies without limit, and for handles for a time`() {
        let (body, handle) = (Node("/a"), Node("/b"))
        handle.isHandle = true
        set.reserve(body)
        set.insert(handle)
        _ = set.takeHeld()
        #expect(set.nodesInUse.map(\.path) == ["/a", "/b"])
        #expect(isInUse(60))
        set.forget(body)
        #expect(isInUse(4) && !isInUse(5))
        set.forgetUsers()
        #expect(!isInUse(0) && set.nodesInUse.isEmpty)
    }

    @Test mutating func `a znode that nobody refers to has no user`() {
        set.reserve(Node("/a"))
        #expect(!set.isInUse(now: start, handlesUntil: start))
        let kept = Node("/b")
        set.reserve(kept)
        // Not valid any more, and in use all the same.
        set.remove(kept)
        #expect(set.isInUse(now: start, handlesUntil: start + .seconds(1)))
        withExtendedLifetime(kept) {}
    }
}
