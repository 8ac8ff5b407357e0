import Testing
import ZooKeeper
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(3)))
struct ClientWatchTests {
    @Test func `each kind of watch tells its change, also when it is awaited afterwards`() async throws {
        try await ClientScene.with { scene in
            let (client, other) = (scene.client, scene.other)
            let (stat, creation) = try await client.watchExistence(at: "/a")
            #expect(stat == nil)
            try await other.create("/a")
            #expect(try await creation.event().kind == .created)

            let data = try await client.watchData(at: "/a").watch
            try await other.setData([1], at: "/a")
            _ = try await client.data(at: "/a")
            #expect(try await data.event().kind == .dataChanged)

            let children = try await client.watchChildren(of: "/a").watch
            try await other.create("/a/b")
            #expect(try await children.event().kind == .childrenChanged)
            try await other.delete("/a/b")

            let deletion = try await client.watchExistence(at: "/a").watch
            let last = try await client.watchChildren(of: "/a").watch
            try await other.delete("/a")
            #expect(try await deletion.event().kind == .deleted)
            #expect(try await last.event().kind == .deleted)
            #expect(try await scene.server.counters().watchCount == 0)
            #expect(await zooKeeperError { try await client.watchData(at: "/a") }?.code == .noNode)
        }
    }

    @Test func `a watch whose waiter is cancelled is taken away from the server`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            for _ in 0..<100 {
                let watch = try await scene.client.watchData(at: "/a").watch
                let waiting = Task { try await watch.event() }
                waiting.cancel()
                await #expect(throws: CancellationError.self) { try await waiting.value }
            }
            _ = try await scene.client.exists(at: "/a")
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `a watch that nobody refers to is taken away from the server`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            do {
                let watch = try await scene.client.watchChildren(of: "/a").watch
                #expect(try await scene.server.counters().watchCount == 1)
                #expect(watch.path == "/a")
            }
            _ = try await scene.client.exists(at: "/a")
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `two waiters on one znode share a watch; one may leave`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            let first = try await scene.client.watchData(at: "/a").watch
            let second = try await scene.client.watchData(at: "/a").watch
            first.cancel()
            #expect(try await first.event().kind == .interrupted)
            _ = try await scene.client.exists(at: "/a")
            #expect(try await scene.server.counters().watchCount == 1)
            try await scene.other.setData([1], at: "/a")
            #expect(try await second.event().kind == .dataChanged)
        }
    }

    @Test func `a watch outlives a lost connection, and tells what happened meanwhile`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            let watch = try await scene.client.watchData(at: "/a").watch
            let kept = try await scene.client.watchExistence(at: "/b").watch
            await scene.proxy.refuse()
            await scene.proxy.cut()
            try await scene.other.setData([1], at: "/a")
            await scene.proxy.accept()
            #expect(try await watch.event().kind == .dataChanged)
            try await scene.other.create("/b")
            #expect(try await kept.event().kind == .created)
        }
    }

    @Test func `a watch is interrupted when the servers are exchanged`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            let watch = try await scene.client.watchData(at: "/a").watch
            try scene.client.updateServers([ServerAddress(host: "127.0.0.1", port: scene.server.port)])
            #expect(try await watch.event().kind == .interrupted)
            #expect(scene.client.session?.epoch == 1)
        }
    }

    @Test func `a watch ends with its session, and with its client`() async throws {
        try await ClientScene.with { scene in
            try await scene.client.create("/a")
            let watch = try await scene.client.watchData(at: "/a").watch
            try await scene.server.expireSession(of: scene.client)
            #expect(try await watch.event().kind == .sessionEnded)
            let next = try await scene.client.watchData(at: "/a").watch
            scene.client.triggerGracefulShutdown()
            #expect(try await next.event().kind == .sessionEnded)
        }
    }
}
