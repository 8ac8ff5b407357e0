import Logging
import ServiceLifecycle
import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(3)))
struct PersistentNodeTests {
    private static let path = "/app/nodes/one"

    @Test func `the znode stands with its data while the operation runs, and goes after it`() async throws {
        try await CacheScene.with { scene in
            try await withPersistentNode(client: scene.client, path: Self.path, data: [1]) { node in
                let (data, stat) = try await scene.other.data(at: Self.path)
                #expect(data == [1])
                #expect(stat.ephemeralOwner == scene.client.session?.id)
                #expect(node.state.isPresent)
            }
            #expect(try await scene.other.exists(at: Self.path) == nil)
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `other data is written into the standing znode, in one round trip of two requests`() async throws {
        try await CacheScene.with { scene in
            try await withPersistentNode(client: scene.client, path: Self.path, data: [1]) { node in
                let czxid = node.state.znode?.stat.czxid
                _ = try await scene.requests()
                node.setData([2])
                try await node.waitUntilExists()
                #expect(node.state.znode?.stat.czxid == czxid)
                #expect(try await scene.requests() == [.setData, .getData])
                #expect(try await scene.other.data(at: Self.path).data == [2])
            }
        }
    }

    @Test func `what somebody else writes is overwritten, again and again, with one watch`() async throws {
        try await CacheScene.with { scene in
            try await withPersistentNode(client: scene.client, path: Self.path, data: [1]) { node in
                for number in UInt8(10)..<20 {
                    let version = try await scene.other.setData([number], at: Self.path).dataVersion
                    await node.state { $0.isPresent && $0.znode?.stat.dataVersion == version + 1 }
                    #expect(node.state.znode?.data == [1])
                }
                #expect(try await scene.server.counters().watchCount == 1)
            }
        }
    }

    @Test func `a new session replaces the earlier one's znode, and nobody sees it missing`() async throws {
        try await CacheScene.with { scene in
            let path = Self.path
            try await withPersistentNode(client: scene.client, path: path, data: [1]) { node in
                // The client loses its session without the server's knowing: it looks expired from here alone.
                let first = try #require(node.state.znode?.stat)
                try await scene.server.expireSession(of: scene.client)
                await node.state { $0.isPresent && $0.znode?.stat.czxid != first.czxid }
                #expect(node.state.znode?.stat.ephemeralOwner == scene.client.session?.id)
                #expect(scene.client.session?.epoch == 2)
            }
        }
    }

    @Test func `a stranger's znode is respected while it stands and left alone at the end`() async throws {
        try await CacheScene.with { scene in
            let path = Self.path
            try await scene.other.create(path, data: [9], mode: .ephemeral, parents: true)
            let node = try PersistentNode(client: scene.client, path: path, data: [1])
            let task = Task { try await node.run() }
            let occupied = await node.state { if case .occupied = $0 { true } else { false } }
            #expect(occupied.znode?.stat.ephemeralOwner == scene.other.session?.id)
            task.cancel()
            try await task.value
            #expect(try await scene.other.data(at: path).data == [9])

            let second = try PersistentNode(client: scene.client, path: path, data: [1])
            let secondTask = Task { try await second.run() }
            await second.state { if case .occupied = $0 { true } else { false } }
            try await scene.other.delete(path)
            try await second.waitUntilExists()
            // Replaced by a stranger behind its back: not deleted at the end.
            secondTask.cancel()
            try await secondTask.value
            #expect(try await scene.other.exists(at: path) == nil)
        }
    }

    @Test func `stopped while its creation is on its way, nothing is left`() async throws {
        try await CacheScene.with { scene in
            let path = Self.path
            try await scene.other.create("/app/nodes/x", parents: true)
            _ = try await scene.client.exists(at: "/")
            for _ in 0..<5 {
                await scene.proxy.hold(.toClient)
                let node = try PersistentNode(client: scene.client, path: path, data: [1])
                let task = Task { try await node.run() }
                let (stat, created) = try await scene.other.watchExistence(at: path)
                if stat == nil { _ = try await created.event() }
                task.cancel()
                await scene.proxy.release()
                try await task.value
                #expect(try await scene.other.exists(at: path) == nil)
            }
        }
    }

    @Test func `with the creation's answer lost, stopped without a connection, it goes on the next one`()
        async throws
    {
        try await CacheScene.with(sessionTimeout: .seconds(10)) { scene in
            let path = Self.path
            try await scene.other.create("/app/nodes/x", parents: true)
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .createWithStat && $0.path == path }
            let node = try PersistentNode(client: scene.client, path: path, data: [1])
            let task = Task { try await node.run() }
            try await scene.proxy.nextDropped()
            // The client may have connected again already.
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { !$0.isConnected }
            task.cancel()
            try await task.value
            let (stat, watch) = try await scene.other.watchExistence(at: path)
            #expect(stat != nil)
            await scene.proxy.accept()
            #expect(try await watch.event().kind == .deleted)
            #expect(scene.client.session?.epoch == 1)
        }
    }

    @Test func `entered again while the deletion of before is due, it stands by a znode of its own`() async throws {
        try await CacheScene.with(sessionTimeout: .seconds(20)) { scene in
            let path = Self.path
            let first = try PersistentNode(client: scene.client, path: path, data: [1])
            let firstRun = Task { try await first.run() }
            try await first.waitUntilExists()
            let old = try #require(first.state.znode?.stat.czxid)
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { !$0.isConnected }
            firstRun.cancel()
            try await firstRun.value
            // One that has no time to do anything.
            let second = try PersistentNode(client: scene.client, path: path, data: [1])
            let secondRun = Task { try await second.run() }
            secondRun.cancel()
            try await secondRun.value
            let third = try PersistentNode(client: scene.client, path: path, data: [1])
            let thirdRun = Task { try await third.run() }
            await scene.proxy.accept()
            try await third.waitUntilExists()
            // Else it would be deleted under it.
            let standing = try #require(third.state.znode?.stat)
            #expect(standing.czxid != old && standing.ephemeralOwner == scene.client.session?.id)
            #expect(scene.client.session?.epoch == 1)
            try await scene.settle()
            #expect(third.state.znode?.stat.czxid == standing.czxid)
            thirdRun.cancel()
            try await thirdRun.value
            #expect(try await scene.other.exists(at: path) == nil)
        }
    }

    @Test func `without the right to create it says so, and goes on when it has it`() async throws {
        try await CacheScene.with { scene in
            let closed = ACL(permissions: [.read, .admin], scheme: "world", id: "anyone")
            try await scene.other.create("/closed", acl: [closed])
            let node = try PersistentNode(client: scene.client, path: "/closed/one")
            let task = Task { try await node.run() }
            let refused = await node.state { if case .refused = $0 { true } else { false } }
            #expect(refused == .refused(ZooKeeperError(.noAuth, path: "/closed/one", serverCode: -102)))
            try await scene.other.setACL([.openUnsafe], at: "/closed")
            try await node.waitUntilExists()
            task.cancel()
            try await task.value
        }
    }

    @Test func `started while the server is down, it stands when the server comes`() async throws {
        try await CacheScene.with { scene in
            await scene.server.stop()
            let node = try PersistentNode(client: scene.client, path: "/one")
            let task = Task { try await node.run() }
            #expect(node.state == .absent)
            try await scene.server.start()
            try await node.waitUntilExists()
            task.cancel()
            try await task.value
        }
    }

    @Test func `graceful shutdown deletes it and ends the states`() async throws {
        try await CacheScene.with { scene in
            let node = try PersistentNode(client: scene.client, path: "/one")
            let group = ServiceGroup(
                configuration: .init(services: [.init(service: node)], logger: .init(label: "test")))
            async let run: Void = group.run()
            try await node.waitUntilExists()
            await group.triggerGracefulShutdown()
            try await run
            #expect(try await scene.other.exists(at: "/one") == nil)
            #expect(node.state == .stopped)
            await #expect(throws: RecipeError.self) { try await node.waitUntilExists() }
            await #expect(throws: RecipeError.self) { try await node.run() }
        }
    }

    @Test func `a client that stops ends it with clientStopped`() async throws {
        try await CacheScene.with { scene in
            let node = try PersistentNode(client: scene.client, path: "/one")
            async let run: Void = node.run()
            try await node.waitUntilExists()
            scene.client.triggerGracefulShutdown()
            do {
                try await run
                Issue.record("the node ended without an error")
            } catch {
                #expect((error as? ZooKeeperError)?.code == .clientStopped)
            }
        }
    }

    @Test func `data that is set while the last is being settled is written`() async throws {
        try await LockScene.with { scene in
            try await withPersistentNode(client: scene.client, path: "/app/nodes/one") { node in
                for number in 0..<1_000 { try await node.write(Array("\(number)".utf8)) }
                #expect(try await scene.other.data(at: node.path).data == Array("999".utf8))
            }
        }
    }
}

extension PersistentNode {
    /// The first state, from the present one on, that satisfies a condition.
    @discardableResult
    func state(where matches: (PersistentNodeState) -> Bool) async -> PersistentNodeState {
        for await state in states where matches(state) { return state }
        return state
    }
}
