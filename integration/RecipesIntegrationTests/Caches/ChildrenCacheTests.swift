import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(4)))
struct ChildrenCacheTests {
    @Test func `children's lives are followed, one request a change`() async throws {
        try await CacheScene.with { scene in
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                #expect(cache.current.snapshot == nil)
                #expect(!cache.current.isLive)
                await cache.entry { $0.isLive && $0.isAbsent }
                #expect(try await scene.requests() == [.getChildrenWithStat, .exists])

                try await scene.other.create("/g")
                await cache.live([:])
                #expect(try await scene.requests() == [.getChildrenWithStat])

                try await scene.other.create("/g/a", data: [1])
                await cache.live(["a": [1]])
                #expect(try await scene.requests() == [.getChildrenWithStat, .getData])

                try await scene.other.setData([2], at: "/g/a")
                await cache.live(["a": [2]])
                #expect(cache.current.snapshot?[path: "/g/a"]?.data == [2])
                #expect(try await scene.requests() == [.getData])

                try await scene.other.delete("/g/a")
                await cache.live([:])
                _ = try await scene.proxy.nextRequest { $0.operation == .getChildrenWithStat }

                try await scene.other.delete("/g")
                await cache.entry { $0.isLive && $0.isAbsent }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `updates leave nothing out and add up to the snapshot`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            for name in ["a", "b"] { try await scene.other.create("/g/\(name)", data: Array(name.utf8)) }
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live(["a": [97], "b": [98]])
                var updates = cache.updates.makeAsyncIterator()
                let first = await updates.next()
                #expect(first?.changes.map(\.path) == ["/g/a", "/g/b"])
                var known = ["a": [97] as [UInt8], "b": [98]]
                for number in UInt8(0)..<20 {
                    try await scene.other.create("/g/n\(number)", data: [number])
                    if number.isMultiple(of: 3) { try await scene.other.delete("/g/n\(number)") }
                    if number.isMultiple(of: 5) { try await scene.other.setData([number], at: "/g/a") }
                }
                try await scene.other.create("/g/end")
                while known["end"] == nil, let update = await updates.next() {
                    for change in update.changes {
                        let name = change.path.split(separator: "/").last.map(String.init) ?? ""
                        #expect(known[name] == change.before?.data)
                        known[name] = change.after?.data
                    }
                }
                await cache.live(known)
                #expect(known["a"] == [15])
            }
        }
    }

    @Test func `a child created anew during a cut is seen, with the same data and version`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            let first = try await scene.other.create("/g/a", data: [7])
            try await scene.other.create("/g/b", data: [8])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live(["a": [7], "b": [8]])
                _ = try await scene.requests()
                await scene.proxy.refuse()
                await scene.proxy.cut()
                await cache.entry { !$0.isLive }
                try await scene.other.delete("/g/a")
                let second = try await scene.other.create("/g/a", data: [7])
                #expect(second.stat.czxid != first.stat.czxid)
                await scene.proxy.accept()
                await cache.live(["a": [7], "b": [8]])
                #expect(cache.current.snapshot?["a"]?.stat?.czxid == second.stat.czxid)
                // The other child was not read again.
                let reads = try await scene.requests().filter { $0 == .getData }
                #expect(reads.count == 1)
            }
        }
    }

    @Test func `a child that comes and goes within a cut is not seen, and what is at the end is`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live([:])
                var updates = cache.updates.makeAsyncIterator()
                _ = await updates.next()
                await scene.proxy.refuse()
                await scene.proxy.cut()
                try await scene.other.create("/g/short")
                try await scene.other.delete("/g/short")
                try await scene.other.create("/g/stays", data: [1])
                await scene.proxy.accept()
                await cache.live(["stays": [1]])
                var seen: [String] = []
                while !seen.contains("/g/stays"), let update = await updates.next() {
                    seen += update.changes.map(\.path)
                }
                #expect(seen == ["/g/stays"])
            }
        }
    }

    @Test func `after a cut nothing older is told, and one listing makes it live again`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            for number in 0..<50 { try await scene.other.create("/g/\(number)") }
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.entry { $0.isLive && $0.snapshot?.count == 50 }
                for _ in 0..<5 {
                    _ = try await scene.requests()
                    var changes = cache.changes.makeAsyncIterator()
                    #expect(await changes.next()?.isLive == true)
                    await scene.proxy.refuse()
                    await scene.proxy.cut()
                    let stale = await changes.next()
                    #expect(stale?.snapshot?.count == 50 && stale?.isLive == false)
                    await scene.proxy.accept()
                    #expect(await changes.next()?.isLive == true)
                    let requests = try await scene.requests().filter { $0 == .getData || $0 == .getChildrenWithStat }
                    #expect(requests == [.getChildrenWithStat])
                }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `started while the server is down, it is live when the server comes`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            await scene.server.stop()
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                #expect(cache.current.snapshot == nil && !cache.current.isAbsent)
                try await scene.server.start()
                await cache.live(["a": [1]])
            }
        }
    }

    @Test func `a child that may not be read shows why, and is read once it may be`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            try await scene.other.create(
                "/g/secret", data: [2], acl: [ACL(permissions: [.write, .admin], scheme: "world", id: "anyone")])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                let entry = await cache.entry { $0.isLive }
                #expect(entry.snapshot?["secret"]?.error?.code == .noAuth)
                #expect(entry.snapshot?["secret"]?.data == nil)
                #expect(entry.snapshot?["a"]?.data == [1])
                try await scene.other.setACL([.openUnsafe], at: "/g/secret")
                await cache.live(["a": [1], "secret": [2]])
            }
        }
    }

    @Test func `a directory that may not be read is unreadable, and is listed once it may be`() async throws {
        try await CacheScene.with { scene in
            let closed = ACL(permissions: [.create, .admin], scheme: "world", id: "anyone")
            try await scene.other.create("/g", acl: [closed])
            try await scene.other.create("/g/a", data: [1])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                let entry = await cache.entry { if case .unreadable = $0.content { true } else { false } }
                #expect(!entry.isLive)
                try await scene.other.setACL([.openUnsafe], at: "/g")
                await cache.live(["a": [1]])
            }
        }
    }

    @Test func `answers that are held back or lost do not overwrite newer ones`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live(["a": [1]])
                await scene.proxy.hold(.toClient)
                try await scene.other.setData([2], at: "/g/a")
                try await scene.other.setData([3], at: "/g/a")
                try await scene.other.create("/g/b", data: [1])
                await scene.proxy.release()
                await cache.live(["a": [3], "b": [1]])
                await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .getChildrenWithStat }
                try await scene.other.delete("/g/b")
                try await scene.proxy.nextDropped()
                try await scene.other.create("/g/c", data: [5])
                await cache.live(["a": [3], "c": [5]])
            }
        }
    }

    @Test func `five hundred starts and stops leave no watch behind`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            for number in 0..<5 { try await scene.other.create("/g/\(number)") }
            for round in 0..<500 {
                let path = round.isMultiple(of: 2) ? "/g" : "/missing"
                try await withChildrenCache(client: scene.client, path: path) { cache in
                    // Some are stopped at once, with their first reads on their way.
                    if round.isMultiple(of: 3) { await cache.entry(where: \.isLive) }
                }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `reconnects and children that come and go keep one watch each`() async throws {
        try await CacheScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.other.create("/g")
            for number in 0..<10 { try await scene.other.create("/g/\(number)") }
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.entry { $0.isLive && $0.snapshot?.count == 10 }
                for round in 0..<100 {
                    try await scene.reconnect()
                    try await scene.other.delete("/g/\(round % 10)")
                    try await scene.other.create("/g/\(round % 10)", data: [UInt8(round)])
                    await cache.entry { $0.isLive && $0.snapshot?["\(round % 10)"]?.data == [UInt8(round)] }
                }
                try await scene.settle()
                #expect(try await scene.server.counters().watchCount == 11)
            }
        }
    }

    @Test func `an expired session is survived: everything is watched in the next one`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live(["a": [1]])
                try await scene.server.expireSession(of: scene.client)
                await scene.client.state { $0.session?.epoch == 2 }
                await cache.live(["a": [1]])
                #expect(scene.client.session?.epoch == 2)
                try await scene.other.setData([2], at: "/g/a")
                try await scene.other.create("/g/b", data: [3])
                await cache.live(["a": [2], "b": [3]])
            }
        }
    }

    @Test func `a restart of the server is survived`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live(["a": [1]])
                try await scene.server.restart()
                try await scene.other.setData([2], at: "/g/a")
                try await scene.other.create("/g/b", data: [3])
                await cache.live(["a": [2], "b": [3]])
            }
        }
    }

    @Test func `servers exchanged under the session are survived`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            try await withChildrenCache(client: scene.client, path: "/g") { cache in
                await cache.live(["a": [1]])
                try scene.client.updateServers([ServerAddress(host: "127.0.0.1", port: scene.server.port)])
                try await scene.proxy.waitUntil { $0.openConnections == 0 }
                await cache.live(["a": [1]])
                try await scene.other.setData([2], at: "/g/a")
                await cache.live(["a": [2]])
                #expect(try await scene.server.counters().watchCount == 2)
            }
        }
    }

    @Test func `graceful shutdown ends the sequences and takes the watches away`() async throws {
        try await CacheScene.with { scene in
            try await scene.other.create("/g")
            try await scene.other.create("/g/a", data: [1])
            let cache = try ChildrenCache(client: scene.client, path: "/g")
            let group = ServiceGroup(
                configuration: .init(services: [.init(service: cache)], logger: .init(label: "test")))
            async let run: Void = group.run()
            await cache.live(["a": [1]])
            await group.triggerGracefulShutdown()
            try await run
            for await entry in cache.changes { #expect(!entry.isLive && entry.snapshot?["a"]?.data == [1]) }
            for await update in cache.updates { #expect(update.changes.count == 1) }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
            await #expect(throws: RecipeError.self) { try await cache.run() }
        }
    }

    @Test func `a hundred thousand children are read in bounded flights, a change costs what changed`()
        async throws
    {
        try await CacheScene.with { scene in
            try await scene.createChildren(100_000)
            var configuration = ChildrenCache.Configuration()
            configuration.pollInterval = .seconds(3600)
            // Not through the proxy, which takes its time to read each frame.
            try await withChildrenCache(client: scene.other, path: "/many", configuration: configuration) { cache in
                await cache.entry { $0.isLive && $0.snapshot?.count == 100_000 }
                // Half of what a client can watch: the rest is looked at again at intervals.
                let watched = cache.current.snapshot?.reduce(0) { $0 + ($1.isWatched ? 1 : 0) } ?? 0
                #expect(watched > 20_000 && watched < 50_000)
                let before = try await scene.server.counters().packetsReceived
                try await scene.client.create("/many/new", data: [1])
                let first = cache.current.snapshot?.first { $0.isWatched }?.name ?? ""
                try await scene.client.setData([2], at: "/many/\(first)")
                await cache.entry { $0.snapshot?["new"] != nil && $0.snapshot?[first]?.data == [2] }
                try await scene.client.delete("/many/\(first)")
                await cache.entry { $0.isLive && $0.snapshot?[first] == nil }
                #expect(try await scene.server.counters().packetsReceived - before < 50)
            }
        }
    }
}

extension CacheScene {
    func createChildren(_ count: Int) async throws {
        try await other.create("/many")
        for start in stride(from: 0, to: count, by: 5000) {
            try await other.transaction(
                (start..<min(start + 5000, count)).map { number in
                    let digits = String(number)
                    return .create("/many/" + String(repeating: "0", count: 6 - digits.count) + digits, data: [0])
                })
        }
    }
}

extension ChildrenCache {
    /// The first entry, from the current one on, that satisfies a condition.
    @discardableResult
    func entry(where matches: (CacheEntry) -> Bool) async -> CacheEntry {
        for await entry in changes where matches(entry) { return entry }
        return current
    }

    @discardableResult
    func live(_ children: [String: [UInt8]]) async -> CacheEntry {
        await entry { $0.isLive && $0.contents == children }
    }
}

extension CacheEntry {
    /// Data by the last part of the path.
    var contents: [String: [UInt8]]? {
        snapshot.map { Dictionary(uniqueKeysWithValues: $0.map { ($0.name, $0.data ?? []) }) }
    }
}
