import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.5: caches and watches.
extension HazardTests {
    @Test func `H52 a znode created anew during a cut is seen, with the same data and version`() async throws {
        try await CacheScene.with { scene in
            let first = try await scene.other.create("/a", data: [7])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
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

    @Test func `H53 what comes and goes during a cut is not seen, and a lasting trace tells of it`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/signals")
            try await withNodeCache(client: scene.client, path: "/signals/a") { cache in
                await cache.liveAbsence()
                var changes = cache.changes.makeAsyncIterator()
                #expect(await changes.next()?.content == .absent)
                let before = try await scene.client.exists(at: "/signals")
                await scene.proxy.refuse()
                await scene.proxy.cut()
                let stale = await changes.next()
                #expect(stale?.content == .absent && stale?.isLive == false)
                try await scene.other.create("/signals/a")
                try await scene.other.delete("/signals/a")
                await scene.proxy.accept()
                let live = await changes.next()
                #expect(live?.content == .absent && live?.isLive == true)
                // As documented: who must know writes something that stays, or asks what the parent has counted.
                let after = try await scene.client.exists(at: "/signals")
                #expect(after?.childrenVersion == (before?.childrenVersion ?? 0) + 2)
            }
        }
    }

    @Test func `H54 a cache started while the server is down is live when the server comes`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            await scene.server.stop()
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                #expect(cache.current.content == .unknown)
                try await scene.server.start()
                await cache.liveEntry(data: [1])
            }
        }
    }

    @Test func `H55 an answer that is held back does not overwrite a newer one`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                await scene.proxy.hold(.toClient)
                try await scene.other.setData([2], at: "/a")
                try await scene.other.setData([3], at: "/a")
                await scene.proxy.release()
                await cache.liveEntry(data: [3])
                // The reply to the read is lost, the connection with it; the next one tells the newest at once.
                await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .getData && $0.path == "/a" }
                try await scene.other.setData([4], at: "/a")
                try await scene.proxy.nextDropped()
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
                try await withNodeCache(client: scene.client, path: path) { cache in
                    // Some are stopped at once, with their first read on its way.
                    if round.isMultiple(of: 3) { await cache.entry(where: \.isLive) }
                }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `H57 contenders who may not read each other's znodes wait for one another all the same`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.other.create(LockScene.path, parents: true)
            func configuration(of user: String) throws -> ZooKeeperClientConfiguration {
                var configuration = try ZooKeeperClientConfiguration(connectionString: scene.server.connectionString)
                configuration.auth = [.digest(user: user, password: "secret")]
                configuration.acl = [.creatorAll]
                return configuration
            }
            try await withZooKeeperClient(configuration: configuration(of: "one")) { one in
                try await withZooKeeperClient(configuration: configuration(of: "two")) { two in
                    var holder = Holder.writes(try DistributedReadWriteLock(client: one, path: LockScene.path))
                    let name = scene.path(try await scene.contenders { $0.count == 1 }[0])
                    await #expect(throws: ZooKeeperError.self) { try await two.data(at: name) }
                    for client in [two, one, two] {
                        let waiter = Holder.writes(try DistributedReadWriteLock(client: client, path: LockScene.path))
                        try await scene.contenders { $0.count == 2 }
                        _ = try await holder.lease
                        #expect(!waiter.isGranted)
                        try await holder.finish()
                        #expect(try await waiter.lease.isValid)
                        holder = waiter
                    }
                    try await holder.finish()
                }
            }
        }
    }
}
