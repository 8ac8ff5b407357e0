import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct LockQueueEntryTests {
    private func entries(
        _ names: [String], czxids: [Int64] = [], without deleted: Int? = nil
    ) throws -> [LockQueueEntry] {
        let found = try names.enumerated().map { index, name in
            let czxid = ZXID(rawValue: index < czxids.count ? czxids[index] : Int64(index))
            let stat = ZNodeStat(czxid: czxid, mzxid: czxid, pzxid: czxid, ephemeralOwner: SessionID(rawValue: 5))
            let contender = try #require(ContenderName(name))
            return LockQueueEntry.Found(
                name: name, number: contender.number, kind: LockQueueEntry.Kind(contender.kind),
                stat: index == deleted ? nil : stat)
        }
        return LockQueueEntry.entries(found, in: "/a", session: SessionID(rawValue: 5))
    }

    @Test func `the first holds a mutex, and the order is that of the numbers`() throws {
        let entries = try entries(["b-lock-0000000007", "a-lock-0000000009", "z-lock-0000000003"])
        #expect(entries.map(\.path) == ["/a/z-lock-0000000003", "/a/b-lock-0000000007", "/a/a-lock-0000000009"])
        #expect(entries.map(\.isHolder) == [true, false, false])
        #expect(entries.map(\.position) == [0, 1, 2])
        #expect(entries.allSatisfy { $0.kind == .mutex && $0.isOwn })
    }

    @Test func `readers in front of all writers hold together`() throws {
        let entries = try entries([
            "__READ__0000000001", "__READ__0000000002", "__WRIT__0000000003", "__READ__0000000004",
        ])
        #expect(entries.map(\.isHolder) == [true, true, false, false])
        #expect(entries.map(\.kind) == [.read, .read, .write, .read])
    }

    @Test func `a writer in front holds alone`() throws {
        let entries = try entries(["__WRIT__0000000000", "__READ__0000000001"])
        #expect(entries.map(\.isHolder) == [true, false])
    }

    @Test func `the placeholder of an eviction holds nothing, and blocks those behind it`() throws {
        let entries = try entries([
            "_c_11111111-0000-4000-8000-000000000000-evict-lock-0000000003",
            "_c_11111111-0000-4000-8000-000000000000-lock-0000000007",
        ])
        #expect(entries.map(\.isHolder) == [false, false])
        #expect(entries.map { $0.eviction != nil } == [true, false])
    }

    @Test func `nobody holds a lock because the znode in front was deleted while the list was read`() throws {
        let entries = try entries(["a-lock-0000000001", "b-lock-0000000002", "c-lock-0000000003"], without: 0)
        #expect(entries.map(\.path) == ["/a/b-lock-0000000002", "/a/c-lock-0000000003"])
        #expect(entries.map(\.position) == [0, 1] && entries.map(\.isHolder) == [false, false])
    }

    @Test func `H14 one number is told apart by the creation`() throws {
        let entries = try entries(["b-lock-2147483647", "a-lock-2147483647"], czxids: [4, 6])
        #expect(entries.map(\.path) == ["/a/b-lock-2147483647", "/a/a-lock-2147483647"])
    }
}
