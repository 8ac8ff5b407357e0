import Testing
import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTransport

/// One server alone.
@Suite struct SimulatedServerTests {
    @Test func `requests are answered in their order`() {
        let scene = EnsembleScene()
        let client = scene.client()
        let numbers = [
            client.send(.create(path: "/a", data: [1], mode: .persistent, acl: .anybody)),
            client.send(.getData(path: "/a", watch: false)),
            client.send(.setData(path: "/a", data: [2], version: 0)),
            client.send(.getData(path: "/a", watch: false)),
            client.send(.getChildren(path: "/", watch: false)),
        ]
        scene.run(.seconds(1))
        #expect(client.heard == numbers.map { .reply($0) })
        #expect(client.replies[2]?.data == [1])
        #expect(client.replies[4]?.data == [2])
        #expect(client.replies[5]?.names == ["a", "zookeeper"])
    }

    @Test func `an event comes before the answer to the write that caused it`() {
        let scene = EnsembleScene()
        let client = scene.client()
        client.call(.exists(path: "/a", watch: true))
        client.call(.getChildren(path: "/", watch: true))
        let number = client.send(.create(path: "/a", data: [], mode: .persistent, acl: .anybody))
        scene.run(.seconds(1))
        #expect(
            client.heard.suffix(3) == [
                .event(event(.created, "/a")), .event(event(.childrenChanged, "/")), .reply(number),
            ])
    }

    @Test func `a deletion is told once to who watches data and children`() {
        let scene = EnsembleScene()
        let client = scene.client()
        client.create("/a")
        client.call(.getData(path: "/a", watch: true))
        client.call(.getChildren(path: "/a", watch: true))
        client.call(.getChildren(path: "/", watch: true))
        client.call(.delete(path: "/a", version: -1))
        #expect(client.events == [event(.deleted, "/a"), event(.childrenChanged, "/")])
    }

    @Test func `a watch fires once`() {
        let scene = EnsembleScene()
        let client = scene.client()
        client.create("/a")
        client.call(.getData(path: "/a", watch: true))
        client.call(.setData(path: "/a", data: [], version: -1))
        client.call(.setData(path: "/a", data: [], version: -1))
        #expect(client.events == [event(.dataChanged, "/a")])
    }

    @Test func `reading a missing node sets no watch, asking for it does`() {
        let scene = EnsembleScene()
        let client = scene.client()
        #expect(client.call(.getData(path: "/a", watch: true)).code == -101)
        #expect(client.call(.getChildren(path: "/b", watch: true)).code == -101)
        #expect(client.call(.exists(path: "/c", watch: true)).code == -101)
        for path in ["/a", "/b", "/c"] { client.create(path) }
        #expect(client.events == [event(.created, "/c")])
    }

    @Test func `who may not read a node is not told of it, and no longer watches it`() {
        let scene = EnsembleScene()
        let client = scene.client()
        let writeOnly = [TransportACL(permissions: 30, scheme: "world", id: "anyone")]
        client.call(.exists(path: "/a", watch: true))
        client.call(.getChildren(path: "/", watch: true))
        client.call(.create(path: "/a", data: [], mode: .persistent, acl: writeOnly))
        #expect(client.events == [event(.childrenChanged, "/")])
        client.call(.setACL(path: "/a", acl: .anybody, version: -1))
        client.call(.setData(path: "/a", data: [], version: -1))
        #expect(client.events.count == 1)
    }

    @Test func `an access list does not count for what is ordered before it is applied`() {
        let scene = EnsembleScene(servers: 3)
        let client = scene.client(on: scene.followers[0])
        client.create("/a")
        let nothingBelow = [TransportACL(permissions: 27, scheme: "world", id: "anyone")]
        client.send(.setACL(path: "/a", acl: nothingBelow, version: -1))
        #expect(client.create("/a/b").code == 0)
        #expect(client.create("/a/c").code == -102)
    }

    @Test func `watches are taken away by their kind`() {
        let scene = EnsembleScene()
        let client = scene.client()
        client.create("/a")
        client.call(.getData(path: "/a", watch: true))
        #expect(client.call(.removeWatches(path: "/a", kind: .children)).code == -121)
        #expect(client.call(.removeWatches(path: "/a", kind: .data)).code == 0)
        #expect(client.call(.removeWatches(path: "/a", kind: .data)).code == -121)
        client.call(.setData(path: "/a", data: [], version: -1))
        #expect(client.events == [])
    }

    @Test func `watches that are set again fire for what has changed`() {
        let scene = EnsembleScene()
        let other = scene.client()
        for path in ["/same", "/changed", "/deleted", "/parent"] { other.create(path) }
        let since = other.lastZXID
        other.call(.setData(path: "/changed", data: [], version: -1))
        other.call(.delete(path: "/deleted", version: -1))
        other.create("/parent/child")
        other.create("/created")
        let client = scene.client()
        client.send(
            .setWatches(
                since: since, data: ["/same", "/changed", "/deleted"], missing: ["/created", "/later"],
                children: ["/parent", "/same"]))
        scene.run(.seconds(1))
        #expect(
            client.heard == [
                .event(event(.dataChanged, "/changed")), .event(event(.deleted, "/deleted")),
                .event(event(.created, "/created")), .event(event(.childrenChanged, "/parent")), .watchesSet,
            ])
        other.create("/later")
        other.create("/same/child")
        other.call(.setData(path: "/same", data: [], version: -1))
        scene.run(.milliseconds(10))
        #expect(
            client.events.suffix(3) == [
                event(.created, "/later"), event(.childrenChanged, "/same"), event(.dataChanged, "/same"),
            ])
    }

    @Test func `the timeout is kept between two and twenty ticks`() {
        let scene = EnsembleScene()
        #expect(scene.client(timeout: 1).timeout == 2000)
        #expect(scene.client(timeout: 5000).timeout == 5000)
        #expect(scene.client(timeout: 1_000_000).timeout == 20_000)
    }

    @Test func `a silent session ends within a tick after its timeout`() {
        let scene = EnsembleScene()
        let client = scene.client(timeout: 4000)
        client.create("/e", .ephemeral)
        let before = scene.simulation.now
        scene.run(until: { scene.ensemble.sessions.isEmpty })
        let span = scene.simulation.now - before
        #expect(span > .milliseconds(3990) && span <= .seconds(5))
        #expect(scene.ensemble.node("/e") == nil)
        #expect(scene.ensemble.expiries == 1)
        scene.run(.milliseconds(10))
        #expect(client.isLost)
        #expect(scene.client(resuming: client).heard == [.refused])
    }

    @Test func `pings keep a session`() {
        let scene = EnsembleScene()
        let client = scene.client(timeout: 4000)
        for _ in 0..<10 {
            client.send(.ping)
            scene.run(.seconds(2))
        }
        #expect(scene.ensemble.sessions == [client.session])
        #expect(client.heard.count == 10)
    }

    @Test func `a session is resumed with its password only`() {
        let scene = EnsembleScene()
        let client = scene.client()
        client.create("/e", .ephemeral)
        client.socket.reset()
        let again = scene.client(resuming: client)
        #expect(again.session == client.session)
        #expect(again.call(.exists(path: "/e", watch: false)).stat?.ephemeralOwner == client.session)
        // A second connection ends the first.
        let third = scene.client(resuming: again)
        #expect(third.isConnected)
        scene.run(.milliseconds(10))
        #expect(again.isLost)
    }

    @Test func `a client that has seen more than the server is sent away`() {
        let scene = EnsembleScene()
        let client = scene.client()
        let ahead = RawClient("ahead", in: scene)
        ahead.connect(to: 0, resuming: client, timeout: 4000, lastZXID: 1000)
        scene.run(.milliseconds(10))
        #expect(ahead.isLost && ahead.heard.isEmpty)
        #expect(!client.isLost)
    }

    @Test func `closing a session takes its nodes before it is answered`() {
        let scene = EnsembleScene()
        let (client, other) = (scene.client(), scene.client())
        client.create("/e", .ephemeral)
        other.call(.getData(path: "/e", watch: true))
        client.end()
        #expect(client.heard.last == .reply(2))
        #expect(scene.ensemble.sessions == [other.session])
        scene.run(.milliseconds(10))
        #expect(client.isLost)
        #expect(other.events == [event(.deleted, "/e")])
    }

    @Test func `a restarted server knows its sessions and forgets its watches`() {
        let scene = EnsembleScene()
        let client = scene.client(timeout: 4000)
        client.create("/e", .ephemeral)
        scene.ensemble.stop(0)
        scene.run(.seconds(10))
        #expect(client.isLost)
        let refused = RawClient("refused", in: scene)
        refused.connect(to: 0, resuming: client, timeout: 4000)
        #expect(refused.isLost)
        scene.ensemble.start(0)
        let again = scene.client(resuming: client)
        #expect(again.session == client.session)
        #expect(scene.ensemble.node("/e") != nil)
    }

    @Test func `containers go by themselves and on demand`() {
        let scene = EnsembleScene { $0.containerLife = .seconds(1) ... .seconds(3) }
        let client = scene.client(timeout: 20_000)
        client.create("/c", .container)
        client.create("/c/a")
        client.call(.delete(path: "/c/a", version: -1))
        #expect(scene.ensemble.node("/c") != nil)
        scene.run(.seconds(4))
        #expect(scene.ensemble.node("/c") == nil)
        client.create("/c", .container)
        client.create("/c/a")
        client.call(.delete(path: "/c/a", version: -1))
        scene.ensemble.reapContainers()
        #expect(scene.ensemble.node("/c") == nil)
    }

    @Test func `the same seed gives the same trace`() {
        func trace(_ seed: UInt64) -> [String] {
            let scene = EnsembleScene(servers: 3, seed: seed, keepsTrace: true)
            let clients = (0..<3).map { scene.client(on: $0) }
            for client in clients { client.create("/n-", .ephemeralSequential) }
            scene.ensemble.stop(scene.leader)
            scene.run(.seconds(20))
            return scene.simulation.trace.lines
        }
        #expect(trace(3) == trace(3))
        #expect(trace(3) != trace(4))
        #expect(trace(3).count > 20)
    }
}
