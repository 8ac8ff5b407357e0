import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(2)))
struct TreeCacheTests {
    @Test func `a tree is followed as it grows and shrinks, down to its leaves`() async throws {
        try await CacheScene.with { scene in
            try await withTreeCache(client: scene.client, path: "/t") { tree in
                await tree.entry { $0.isLive && $0.isAbsent }
                try await scene.other.create("/t", data: [1])
                try await scene.other.create("/t/a/b/c", data: [2], parents: true)
                try await scene.other.create("/t/a/e", data: [3], mode: .ephemeral)
                await tree.live(["": [1], "a": [], "a/b": [], "a/b/c": [2], "a/e": [3]])
                #expect(tree.current.snapshot?[path: "/t/a/b/c"]?.data == [2])
                try await scene.other.setData([9], at: "/t/a/b/c")
                try await scene.other.deleteRecursively("/t/a/b")
                try await scene.other.create("/t/a/b/c/d", data: [4], parents: true)
                await tree.live(["": [1], "a": [], "a/b": [], "a/b/c": [], "a/b/c/d": [4], "a/e": [3]])
                try await scene.other.deleteRecursively("/t")
                await tree.entry { $0.isLive && $0.isAbsent }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `a subtree created anew during a cut is seen, with the same names, data and versions`() async throws {
        try await CacheScene.with { scene in
            for path in ["/t", "/t/a", "/t/a/b"] { try await scene.other.create(path, data: [7]) }
            try await withTreeCache(client: scene.client, path: "/t") { tree in
                let before = await tree.entry { $0.isLive && $0.snapshot?.count == 3 }
                await scene.proxy.refuse()
                await scene.proxy.cut()
                try await scene.other.deleteRecursively("/t/a")
                for path in ["/t/a", "/t/a/b"] { try await scene.other.create(path, data: [7]) }
                await scene.proxy.accept()
                let after = await tree.entry {
                    $0.isLive && $0.snapshot?["a/b"]?.stat?.czxid != before.snapshot?["a/b"]?.stat?.czxid
                }
                #expect(after.snapshot?["a"]?.stat?.czxid != before.snapshot?["a"]?.stat?.czxid)
                #expect(after.snapshot?.sorted.map(\.data) == before.snapshot?.sorted.map(\.data))
            }
        }
    }

    @Test func `depth and filter bound what is read and watched`() async throws {
        try await CacheScene.with { scene in
            for path in ["/t", "/t/a", "/t/a/b", "/t/a/b/c", "/t/skip", "/t/skip/x"] {
                try await scene.other.create(path)
            }
            var configuration = TreeCache.Configuration()
            configuration.depth = 2
            configuration.isIncluded = { !$0.hasSuffix("/skip") }
            try await withTreeCache(client: scene.client, path: "/t", configuration: configuration) { tree in
                await tree.live(["": [], "a": [], "a/b": []])
                // Data of three, children of two.
                let watches = try await scene.server.counters().watchCount
                #expect(watches == 5)
            }
        }
    }

    @Test func `an expired session, a restart and lost connections are survived`() async throws {
        try await CacheScene.with { scene in
            for path in ["/t", "/t/a", "/t/a/b"] { try await scene.other.create(path) }
            try await withTreeCache(client: scene.client, path: "/t") { tree in
                await tree.entry { $0.isLive && $0.snapshot?.count == 3 }
                for round in UInt8(1)...4 {
                    switch round {
                    case 1: try await scene.server.expireSession(of: scene.client)
                    case 2: try await scene.server.restart()
                    default: await scene.proxy.cut()
                    }
                    try await scene.other.create("/t/a/b/\(round)")
                    try await scene.other.setData([round], at: "/t/a/b")
                    await tree.entry {
                        $0.isLive && $0.snapshot?["a/b"]?.data == [round] && $0.snapshot?["a/b/\(round)"] != nil
                    }
                }
                try await scene.settle()
                #expect(try await scene.server.counters().watchCount == 14)
            }
        }
    }

    @Test func `two hundred starts and stops leave no watch behind`() async throws {
        try await CacheScene.with { scene in
            for path in ["/t", "/t/a", "/t/a/b", "/t/c"] { try await scene.other.create(path) }
            for round in 0..<200 {
                try await withTreeCache(client: scene.client, path: "/t") { tree in
                    if round.isMultiple(of: 3) { await tree.entry(where: \.isLive) }
                }
            }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }
}

extension TreeCache {
    /// The first entry, from the current one on, that satisfies a condition.
    @discardableResult
    func entry(where matches: (CacheEntry) -> Bool) async -> CacheEntry {
        for await entry in changes where matches(entry) { return entry }
        return current
    }

    /// Waits for a live content, by paths relative to the root.
    func live(_ znodes: [String: [UInt8]]) async {
        await entry { entry in
            guard entry.isLive, let snapshot = entry.snapshot, snapshot.count == znodes.count else { return false }
            return znodes.allSatisfy { snapshot[$0.key]?.data == $0.value }
        }
    }
}
