import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The requests of the recipes' operations, counted on their way to the server: the figures of `Recipes/README.md`.
///
/// Directories stand already, as they do from the second use on.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct RequestCountTests {
    private static func token(_ number: Int64) -> FencingToken { FencingToken(rawValue: number) }

    @Test func `leases of a semaphore, one and several`() async throws {
        try await AskedRequests.with { scene, asked in
            let semaphore = try DistributedSemaphore(client: scene.client, path: "/semaphore", limit: 3)
            try await semaphore.withLease { _ in }
            try await asked.forget()
            let one = try await semaphore.acquire()
            let acquired = try await asked.all(7, watchesHeld: false)
            #expect(acquired == ["create", "list", "list", "read", "multi", "exists", "unwatch"])
            await one.release()
            #expect(try await asked.all(1, watchesHeld: false) == ["delete"])
            let three = try await semaphore.acquire(count: 3)
            let more = try await asked.all(9, watchesHeld: false)
            #expect(more == ["create", "list", "list", "read", "multi", "exists", "exists", "exists", "unwatch"])
            await three.release()
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
        }
    }

    @Test func `a lock that is waited for shortly`() async throws {
        try await AskedRequests.with { scene, asked in
            let (near, far) = (
                try DistributedMutex(client: scene.client, path: "/mutex"),
                try DistributedMutex(client: scene.other, path: "/mutex")
            )
            try await near.withLock { _ in }
            let held = try await far.acquire()
            try await asked.forget()
            async let lease = near.acquire()
            var queued = try await scene.other.children(of: "/mutex").names
            while queued.count < 2 { queued = try await scene.other.children(of: "/mutex").names }
            await held.release()
            await (try lease).release()
            let asked = try await asked.all(5)
            // A lock that is held for 20 ms is watched.
            #expect(asked == ["create", "list", "read", "list", "delete"] || asked.count == 6 && asked[4] == "read")
        }
    }

    @Test func `two locks together cost what each of them costs`() async throws {
        try await AskedRequests.with { scene, asked in
            let multi = try LockPair(scene.client).multi
            try await multi.withLock { _ in }
            try await asked.forget()
            let leases = try await multi.acquire()
            #expect(try await asked.all(4, watchesHeld: false) == ["create", "list", "create", "list"])
            await leases.release()
            #expect(try await asked.all(2, watchesHeld: false) == ["delete", "delete"])
        }
    }

    @Test func `a request to let go, on both sides`() async throws {
        try await AskedRequests.with { scene, asked in
            let (near, far) = (
                try DistributedMutex(client: scene.client, path: "/mutex"),
                try DistributedMutex(client: scene.other, path: "/mutex")
            )
            _ = try await far.withLock { _ in try await near.requestRelease(from: near.queue()[0]) }
            let lease = try await far.acquire()
            let entry = try await near.queue()[0]
            try await asked.forget()
            try await near.requestRelease(from: entry)
            // The last one watches for the holder's end.
            #expect(try await asked.all(3) == ["read", "multi", "read"])
            await lease.release()
            #expect(try await asked.all(2) == ["read", "delete"])

            let own = try await near.acquire()
            #expect(try await asked.all(3) == ["create", "list", "read"])
            try await far.requestRelease(from: far.queue()[0])
            // It watches its own znode again, and takes the request.
            #expect(try await asked.all(4) == ["read", "list", "read", "delete"])
            await own.release()
            #expect(try await asked.all(1) == ["delete"])
        }
    }

    @Test func `a fenced write`() async throws {
        try await AskedRequests.with { scene, asked in
            let node = try FencedNode(client: scene.client, path: "/value")
            try await node.write([1], token: Self.token(1))
            try await asked.forget()
            try await node.write([2], token: Self.token(2))
            #expect(try await asked.all(2) == ["read", "multi"])
            _ = try await node.read()
            #expect(try await asked.all(1) == ["read"])
            await #expect(throws: FencingError.self) { try await node.write([3], token: Self.token(1)) }
            #expect(try await asked.all(1) == ["read"])
            let lease = try await DistributedMutex(client: scene.client, path: "/mutex").acquire()
            try await asked.forget()
            try await node.write([3], under: lease)
            #expect(try await asked.all(2, watchesHeld: false) == ["read", "multi"])
            await lease.release()
        }
    }

    @Test func `a tree, when it is read and when it changes`() async throws {
        try await AskedRequests.with { scene, asked in
            for path in ["/t", "/t/a", "/t/a/b", "/t/c"] { try await scene.other.create(path, data: [1]) }
            try await scene.other.create("/t/e", data: [1], mode: .ephemeral)
            try await asked.forget()
            try await withTreeCache(client: scene.client, path: "/t") { tree in
                await tree.entry { $0.isLive && $0.snapshot?.count == 5 }
                let asked = try await asked.all(9)
                #expect(asked.count { $0 == "read" } == 5 && asked.count { $0 == "list" } == 4 && asked.count == 9)
                try await changes(of: tree, scene)
            }
            // Each watch that is left.
            #expect(try await asked.all(10) == Array(repeating: "unwatch", count: 10))
        }
    }

    private func changes(of tree: TreeCache, _ scene: CacheScene) async throws {
        let asked = AskedRequests(scene: scene)
        try await scene.other.setData([2], at: "/t/a/b")
        await tree.entry { $0.snapshot?["a/b"]?.data == [2] }
        #expect(try await asked.all(1) == ["read"])
        try await scene.other.create("/t/a/d", data: [3])
        await tree.entry { $0.snapshot?["a/d"]?.data == [3] }
        #expect(try await asked.all(3) == ["list", "read", "list"])
        try await scene.other.create("/t/a/f", data: [3], mode: .ephemeral)
        await tree.entry { $0.snapshot?["a/f"]?.data == [3] }
        #expect(try await asked.all(2) == ["list", "read"])
        try await scene.other.delete("/t/a/d")
        await tree.entry { $0.snapshot?["a/d"] == nil }
        #expect(try await asked.all(1) == ["list"])
    }

    @Test func `a shared value, and a counter`() async throws {
        try await AskedRequests.with { scene, asked in
            let value = try SharedValue(client: scene.client, path: "/value", initial: [1])
            let counter = try SharedCount(client: scene.client, path: "/counter", format: .int64)
            _ = try await (value.value(), counter.value())
            try await asked.forget()
            let known = try await value.value()
            #expect(try await asked.all(2) == ["sync", "read"])
            #expect(try await value.set([2], replacing: known) != nil)
            #expect(try await value.set([3], replacing: known) == nil)
            #expect(try await asked.all(2) == ["write", "write"])
            try await value.update { $0 }
            try await counter.add(1)
            #expect(try await counter.set(5, replacing: 1))
            #expect(try await asked.all(9) == Array(repeating: ["sync", "read", "write"], count: 3).flatMap(\.self))
            #expect(try await counter.set(6, replacing: 1) == false)
            _ = try await counter.value()
            #expect(try await asked.all(4) == ["sync", "read", "sync", "read"])
        }
    }
}
