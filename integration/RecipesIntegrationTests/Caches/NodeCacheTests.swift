import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(3)))
struct NodeCacheTests {
    @Test func `a znode's life is followed, one request a change`() async throws {
        try await CacheScene.with { scene in
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                #expect(cache.current.content == .unknown)
                #expect(!cache.current.isLive)
                await cache.liveAbsence()
                #expect(try await scene.requests() == [.getData, .exists])

                let created = try await scene.other.create("/a", data: [1])
                let present = await cache.liveEntry(data: [1])
                #expect(present.stat?.czxid == created.stat.czxid)
                #expect(try await scene.requests() == [.getData])

                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
                #expect(cache.current.data == [2])
                #expect(try await scene.requests() == [.getData])

                try await scene.other.delete("/a")
                await cache.liveAbsence()
                #expect(try await scene.requests() == [.exists])
            }
            #expect(try await scene.requests() == [.removeWatches])
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `a slow reader gets the current entry first and then the newest`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [0])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [0])
                var slow = cache.changes.makeAsyncIterator()
                #expect(await slow.next()?.data == [0])
                for number in UInt8(1)...9 {
                    try await scene.other.setData([number], at: "/a")
                    await cache.liveEntry(data: [number])
                }
                #expect(await slow.next()?.data == [9])
            }
        }
    }

    @Test func `after a cut nothing older is told, and the same content becomes live again`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
                var changes = cache.changes.makeAsyncIterator()
                #expect(await changes.next()?.isLive == true)
                for _ in 0..<5 {
                    await scene.proxy.refuse()
                    await scene.proxy.cut()
                    let stale = await changes.next()
                    #expect(stale?.data == [2] && stale?.isLive == false)
                    await scene.proxy.accept()
                    let live = await changes.next()
                    #expect(live?.data == [2] && live?.isLive == true)
                }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `contents tell each different content once, whatever happens to the connection`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                var contents = cache.contents.makeAsyncIterator()
                let first = await contents.next()
                #expect(first == cache.current.content)
                for _ in 0..<3 {
                    try await scene.reconnect()
                    await cache.entry(where: \.isLive)
                }
                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
                let second = await contents.next()
                #expect(second != first && second == cache.current.content)
                try await scene.other.delete("/a")
                let third = await contents.next()
                #expect(third == .absent)
            }
        }
    }

    @Test func `what may not be read is unreadable, and is read once it may be`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create(
                "/a", data: [1], acl: [ACL(permissions: [.write, .admin], scheme: "world", id: "anyone")])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                let refused = await cache.entry { $0.content != .unknown }
                guard case .unreadable(let error) = refused.content else {
                    Issue.record("\(refused)")
                    return
                }
                #expect(error.code == .noAuth)
                #expect(!refused.isLive)
                try await scene.other.setACL([.openUnsafe], at: "/a")
                await cache.liveEntry(data: [1])
            }
        }
    }

    @Test func `a hundred reconnects keep one watch`() async throws {
        try await CacheScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                for _ in 0..<100 {
                    try await scene.reconnect()
                    await cache.entry(where: \.isLive)
                }
                try await scene.settle()
                await cache.entry(where: \.isLive)
                #expect(try await scene.server.counters().watchCount == 1)
                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
            }
        }
    }

    @Test func `an expired session is survived: the znode is watched in the next one`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                try await scene.server.expireSession(of: scene.client)
                await scene.client.state { $0.session?.epoch == 2 }
                await cache.liveEntry(data: [1])
                #expect(scene.client.session?.epoch == 2)
                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
            }
        }
    }

    @Test func `a restart of the server is survived`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                try await scene.server.restart()
                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
            }
        }
    }

    @Test func `servers exchanged under the session are survived`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            try await withNodeCache(client: scene.client, path: "/a") { cache in
                await cache.liveEntry(data: [1])
                let session = try #require(scene.client.session)
                try scene.client.updateServers([ServerAddress(host: "127.0.0.1", port: scene.server.port)])
                try await scene.proxy.waitUntil { $0.openConnections == 0 }
                await cache.liveEntry(data: [1])
                try await scene.other.setData([2], at: "/a")
                await cache.liveEntry(data: [2])
                #expect(scene.client.session?.id == session.id)
                #expect(try await scene.server.counters().watchCount == 1)
            }
        }
    }

    @Test func `graceful shutdown ends the changes and takes the watch away`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/a", data: [1])
            let cache = try NodeCache(client: scene.client, path: "/a")
            let group = ServiceGroup(
                configuration: .init(services: [.init(service: cache)], logger: .init(label: "test")))
            async let run: Void = group.run()
            await cache.liveEntry(data: [1])
            await group.triggerGracefulShutdown()
            try await run
            for await entry in cache.changes { #expect(!entry.isLive && entry.data == [1]) }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
            await #expect(throws: RecipeError.self) { try await cache.run() }
        }
    }

    @Test func `a client that stops ends the cache with clientStopped`() async throws {
        try await CacheScene.with { scene in
            let cache = try NodeCache(client: scene.client, path: "/a")
            async let run: Void = cache.run()
            await cache.liveAbsence()
            scene.client.triggerGracefulShutdown()
            do {
                try await run
                Issue.record("the cache ended without an error")
            } catch {
                #expect((error as? ZooKeeperError)?.code == .clientStopped)
            }
            #expect(!cache.current.isLive)
        }
    }
}
