import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.5: caches and watches.
extension HazardTests {
    @Test func `H52 a znode created anew during a cut is seen, with the same data and version`() async throws {
        try await CacheScene.with { scene in
            let first = try await scene.other.create("/a", data: [7])
            try await withNodeCache("/a", client: scene.client) { cache in
                await cache.liveEntry(data: [7])
                await scene.proxy.refuse()
                await scene.proxy.cut()
                let cut = await cache.entry { !$0.isLive }
                #expect(cut.data == [7])
                try await scene.other.delete("/a")
                let second = try await scene.other.create("/a", data: [7])
                #expect(second.stat.czxid != first.stat.czxid)
                await scene.proxy.accept()
                let entry = await cache.entry(where: \.isLive)
                #expect(entry.stat?.czxid == second.stat.czxid)
                #expect(entry.stat?.dataVersion == first.stat.dataVersion)
            }
        }
    }

    @Test func `H54 a cache started while the server is down is live when the server comes`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            await scene.server.stop()
            try await withNodeCache("/a", client: scene.client) { cache in
                #expect(cache.current.content == .unknown)
                try await scene.server.start()
                await cache.liveEntry(data: [1])
            }
        }
    }

    @Test func `H55 an answer that is held back does not overwrite a newer one`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache("/a", client: scene.client) { cache in
                await cache.liveEntry(data: [1])
                await scene.proxy.hold(.toClient)
                try await scene.other.setData([2], at: "/a")
                try await scene.other.setData([3], at: "/a")
                await scene.proxy.release()
                await cache.liveEntry(data: [3])
                // The reply to the read is lost, the connection with it; the next one tells the newest at once.
                await scene.proxy.swallowNextReply(thenCut: true) { $0.operation == .getData && $0.path == "/a" }
                try await scene.other.setData([4], at: "/a")
                try await scene.proxy.nextSwallowed()
                try await scene.other.setData([5], at: "/a")
                let entry = await cache.entry { $0.isLive && $0.data != [3] }
                #expect(entry.data == [4] || entry.data == [5])
                await cache.liveEntry(data: [5])
            }
        }
    }

    @Test func `H56 a thousand starts and stops leave no watch behind`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            for round in 0..<1000 {
                let path = round.isMultiple(of: 2) ? "/a" : "/missing"
                try await withNodeCache(path, client: scene.client) { cache in
                    // Some are stopped at once, with their first read on its way.
                    if round.isMultiple(of: 3) { await cache.entry(where: \.isLive) }
                }
            }
            _ = try await scene.client.exists(at: "/a")
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }
}
