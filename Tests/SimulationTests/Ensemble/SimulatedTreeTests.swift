import Testing
import ZooKeeperSimulator
import ZooKeeperTransport

@Suite struct SimulatedTreeTests {
    /// A tree to which each decided write is applied at once, as on a server alone.
    private struct Subject {
        var tree = SimulatedTree()
        var proposed = ProposedChanges()
        var zxid: Int64 = 0
        var events: [TreeEvent] = []

        @discardableResult
        mutating func write(_ request: TransportRequest, by session: Int64 = 7) -> TransportReply {
            zxid += 1
            let change = proposed.decide(request, by: session, zxid: zxid, in: tree)
            return apply(change, by: session)
        }

        @discardableResult
        mutating func apply(_ change: TreeChange, by session: Int64 = 7) -> TransportReply {
            let transaction = Transaction(zxid: zxid, time: 1000 + zxid, session: session, change: change)
            let reply = tree.apply(transaction, events: &events)
            proposed.applied(zxid)
            return reply
        }

        @discardableResult
        mutating func create(
            _ path: String, _ mode: TransportCreateMode = .persistent, by session: Int64 = 7
        ) -> TransportReply {
            write(.create(path: path, data: [1, 2], mode: mode, acl: .anybody), by: session)
        }
    }

    @Test func `the server's own nodes stand from the beginning`() {
        let tree = SimulatedTree()
        #expect(tree.stat(of: "/")?.cversion == -1)
        #expect(tree.stat(of: "/")?.numChildren == 1)
        #expect(tree.stat(of: "/zookeeper")?.cversion == -2)
        #expect(tree.stat(of: "/zookeeper/config") != nil)
    }

    @Test func `a created node reports every field`() {
        var subject = Subject()
        let reply = subject.create("/a", .ephemeral)
        #expect(reply.path == "/a")
        #expect(
            reply.stat
                == TransportStat(
                    czxid: 1, mzxid: 1, pzxid: 1, ctime: 1001, mtime: 1001, version: 0, cversion: 0, aversion: 0,
                    ephemeralOwner: 7, dataLength: 2, numChildren: 0))
    }

    @Test func `a parent counts creates and deletes`() {
        var subject = Subject()
        subject.create("/a")
        subject.create("/a/b")
        subject.create("/a/c")
        subject.write(.delete(path: "/a/b", version: -1))
        let stat = subject.tree.stat(of: "/a")
        #expect(stat?.cversion == 3)
        #expect(stat?.pzxid == 4)
        #expect(stat?.mzxid == 1)
        #expect(stat?.numChildren == 1)
    }

    @Test func `setting data and access moves their versions only`() {
        var subject = Subject()
        subject.create("/a")
        let set = subject.write(.setData(path: "/a", data: nil, version: 0))
        #expect(set.stat?.version == 1)
        #expect(set.stat?.mzxid == 2)
        #expect(set.stat?.mtime == 1002)
        #expect(set.stat?.dataLength == 0)
        #expect(subject.write(.setACL(path: "/a", acl: .anybody, version: 0)).code == 0)
        #expect(subject.tree.stat(of: "/a")?.aversion == 1)
        #expect(subject.tree.stat(of: "/a")?.mzxid == 2)
    }

    @Test func `each refusal has its code`() {
        var subject = Subject()
        subject.create("/a")
        subject.create("/a/b")
        subject.create("/e", .ephemeral)
        #expect(subject.create("/a").code == -110)
        #expect(subject.create("/").code == -110)
        #expect(subject.create("/x/y").code == -101)
        #expect(subject.create("/e/y").code == -108)
        #expect(subject.create("/a/").code == -8)
        #expect(subject.create("/a/..").code == -8)
        #expect(subject.create("/t", .persistentWithTTL(10)).code == -6)
        #expect(subject.write(.delete(path: "/x", version: -1)).code == -101)
        #expect(subject.write(.delete(path: "/a", version: -1)).code == -111)
        #expect(subject.write(.delete(path: "/a/b", version: 1)).code == -103)
        #expect(subject.write(.delete(path: "/", version: -1)).code == -8)
        #expect(subject.write(.delete(path: "/zookeeper", version: -1)).code == -8)
        #expect(subject.write(.setData(path: "/x", data: [], version: -1)).code == -101)
        #expect(subject.write(.setData(path: "/a", data: [], version: 3)).code == -103)
        #expect(subject.write(.setACL(path: "/a", acl: [], version: -1)).code == -114)
        #expect(subject.write(.create(path: "/n", data: [], mode: .persistent, acl: [])).code == -114)
        #expect(subject.zxid == 19)
    }

    @Test func `access lists are enforced for anybody`() {
        var subject = Subject()
        subject.create("/a")
        subject.create("/a/b")
        let readOnly = [TransportACL(permissions: 1, scheme: "world", id: "anyone")]
        #expect(subject.write(.setACL(path: "/a", acl: readOnly, version: -1)).code == 0)
        #expect(subject.create("/a/c").code == -102)
        #expect(subject.write(.delete(path: "/a/b", version: -1)).code == -102)
        #expect(subject.write(.setData(path: "/a", data: [], version: -1)).code == -102)
        #expect(subject.write(.setACL(path: "/a", acl: .anybody, version: -1)).code == -102)
        #expect(subject.write(.multi([.check(path: "/a", version: 0)])).code == 0)
        let other = [TransportACL(permissions: 31, scheme: "digest", id: "a:b")]
        #expect(subject.write(.create(path: "/d", data: [], mode: .persistent, acl: other)).code == -6)
    }

    @Test func `sequence numbers count every create under the parent`() {
        var subject = Subject()
        subject.create("/q")
        #expect(subject.create("/q/n-", .persistentSequential).path == "/q/n-0000000000")
        subject.create("/q/plain")
        subject.write(.delete(path: "/q/n-0000000000", version: -1))
        #expect(subject.create("/q/n-", .ephemeralSequential).path == "/q/n-0000000002")
        #expect(subject.create("/q/", .persistentSequential).path == "/q/0000000003")
    }

    @Test func `a sequence counter is pinned at its end`() {
        var subject = Subject()
        subject.create("/q")
        subject.apply(.setSequence(path: "/q", next: .max))
        #expect(subject.create("/q/n-", .persistentSequential).path == "/q/n-2147483647")
        #expect(subject.create("/q/n-", .persistentSequential).code == -110)
        #expect(subject.create("/q/m-", .persistentSequential).path == "/q/m-2147483647")
    }

    @Test func `proposed creates go over the end of a sequence counter`() {
        var subject = Subject()
        subject.create("/q")
        subject.apply(.setSequence(path: "/q", next: .max))
        let request = TransportRequest.create(path: "/q/n-", data: [], mode: .persistentSequential, acl: .anybody)
        let changes = (0..<3).map { number in
            subject.proposed.decide(request, by: 7, zxid: subject.zxid + 1 + Int64(number), in: subject.tree)
        }
        let paths = changes.map { if case .create(let creation) = $0 { creation.path } else { "" } }
        #expect(paths == ["/q/n-2147483647", "/q/n--2147483648", "/q/n--2147483647"])
    }

    @Test func `a transaction is done whole or not at all`() {
        var subject = Subject()
        subject.create("/a")
        let failed = subject.write(
            .multi([
                .create(path: "/b", data: [], mode: .persistent, acl: .anybody), .check(path: "/a", version: 5),
                .delete(path: "/a", version: -1),
            ]))
        #expect(failed.code == -103)
        #expect(failed.results?.map(\.code) == [0, -103, -2])
        #expect(subject.tree.stat(of: "/b") == nil)
        let done = subject.write(
            .multi([
                .create(path: "/b", data: [], mode: .persistent, acl: .anybody),
                .create(path: "/b/s-", data: [], mode: .ephemeralSequential, acl: .anybody),
                .setData(path: "/a", data: [1], version: 0), .check(path: "/a", version: 1),
                .delete(path: "/a", version: 1),
            ]))
        #expect(done.code == 0)
        #expect(done.results?.map(\.path) == ["/b", "/b/s-0000000000", nil, nil, nil])
        #expect(done.results?[2].stat?.version == 1)
        #expect(subject.tree.stat(of: "/b/s-0000000000")?.czxid == 3)
        #expect(subject.tree.stat(of: "/a") == nil)
    }

    @Test func `a failed transaction leaves no trace in later decisions`() {
        var subject = Subject()
        subject.create("/q")
        let sequential = TransportOperation.create(
            path: "/q/n-", data: [], mode: .persistentSequential, acl: .anybody)
        let failed = subject.proposed.decide(
            .multi([sequential, .check(path: "/none", version: -1)]), by: 7, zxid: 2, in: subject.tree)
        guard case .failedMulti(let codes) = failed else {
            Issue.record("\(failed)")
            return
        }
        #expect(codes == [0, -101])
        #expect(subject.create("/q/n-", .persistentSequential).path == "/q/n-0000000000")
    }

    @Test func `writes are decided against what is proposed`() {
        var subject = Subject()
        subject.create("/a")
        let create = TransportRequest.create(path: "/a/b", data: [], mode: .persistent, acl: .anybody)
        let first = subject.proposed.decide(create, by: 7, zxid: 2, in: subject.tree)
        let second = subject.proposed.decide(create, by: 7, zxid: 3, in: subject.tree)
        let delete = subject.proposed.decide(.delete(path: "/a", version: -1), by: 7, zxid: 4, in: subject.tree)
        guard case .create = first, case .error(-110) = second, case .error(-111) = delete else {
            Issue.record("\(first), \(second), \(delete)")
            return
        }
    }

    @Test func `a session's end takes its ephemeral nodes in one transaction`() {
        var subject = Subject()
        subject.create("/a")
        subject.create("/a/e", .ephemeral, by: 8)
        subject.create("/a/f", .ephemeral, by: 9)
        // Proposed, not applied: it goes as well.
        subject.zxid += 1
        let late = subject.proposed.decide(
            .create(path: "/a/g", data: [], mode: .ephemeral, acl: .anybody), by: 8, zxid: subject.zxid,
            in: subject.tree)
        let closing = subject.proposed.decideClosing(8, zxid: subject.zxid + 1, in: subject.tree) { _ in }
        subject.apply(late, by: 8)
        subject.zxid += 1
        subject.events = []
        subject.apply(closing, by: 8)
        #expect(subject.tree.stat(of: "/a/e") == nil)
        #expect(subject.tree.stat(of: "/a/g") == nil)
        #expect(subject.tree.stat(of: "/a/f")?.ephemeralOwner == 9)
        #expect(subject.tree.stat(of: "/a")?.pzxid == subject.zxid)
        #expect(subject.events.map(\.path).sorted() == ["/a/e", "/a/g"])
    }

    @Test func `a container without children goes once it has had some`() {
        var subject = Subject()
        subject.create("/c", .container)
        #expect(subject.tree.stat(of: "/c")?.ephemeralOwner == 0)
        #expect(subject.tree.emptyContainers == [])
        subject.create("/c/a")
        #expect(subject.tree.emptyContainers == [])
        subject.write(.delete(path: "/c/a", version: -1))
        #expect(subject.tree.emptyContainers == ["/c"])
    }
}
