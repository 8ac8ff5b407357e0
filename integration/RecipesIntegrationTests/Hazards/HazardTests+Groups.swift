import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Sections 1.1, 1.4 and 1.5: znodes of shared names, persistent znodes, barriers and shared values.
extension HazardTests {
    @Test func `H08 through deletions, restarts and lost connections one znode of the same name stands`() async throws {
        let path = "/app/nodes/one"
        try await CacheScene.with(sessionTimeout: .seconds(10)) { scene in
            try await withPersistentNode(client: scene.client, path: path, data: [1]) { node in
                for _ in 0..<3 {
                    let czxid = node.state.znode?.stat.czxid
                    try await scene.other.delete(path)
                    await node.state { $0.isPresent && $0.znode?.stat.czxid != czxid }
                }
                for round in 0..<5 {
                    // The client reports every lost connection; the node only one that is still lost when it looks.
                    var states = scene.client.states.makeAsyncIterator()
                    if round < 2 { try await scene.server.restart() } else { await scene.proxy.cut() }
                    while await states.next()?.isConnected == true {}
                    await scene.client.state { $0.isConnected }
                    await node.state(where: \.isPresent)
                    #expect(try await scene.other.children(of: "/app/nodes").names == ["one"])
                }
            }
        }
    }

    @Test func `H13 of two members with one id the second is refused, and leaves the first one's znode`() async throws {
        let path = "/app/members"
        try await CacheScene.with { scene in
            var configuration = GroupMembership.Configuration(client: scene.client)
            configuration.duplicateTimeout = .milliseconds(200)
            let first = try GroupMembership(client: scene.other, path: path, id: "one", data: [1])
            let running = Task { try await first.run() }
            try await first.waitUntilJoined()
            let second = try GroupMembership(
                client: scene.client, path: path, id: "one", data: [2], configuration: configuration)
            let error = await #expect(throws: RecipeError.self) { try await second.run() }
            #expect(error?.code == .duplicate)
            let (data, stat) = try await scene.other.data(at: "\(path)/one")
            #expect(data == [1])
            #expect(stat.ephemeralOwner == scene.other.session?.id)
            #expect(try await scene.other.creations(below: path) == 1)
            running.cancel()
            try await running.value
        }
    }

    @Test func `H46 who waits at a barrier passes for no other reason, through cuts, a restart and a new session`()
        async throws
    {
        let path = "/app/double"
        try await CacheScene.with { scene in
            let near = try DistributedDoubleBarrier(client: scene.client, path: path, participantCount: 2)
            let began = OneShot<Void>()
            let task = Task {
                try await near.withBarrier { _ = began.set(()) }
            }
            try await scene.members(1, at: path)
            await scene.proxy.cut()
            await scene.client.state { $0.isConnected }
            try await scene.server.expireSession(of: scene.client)
            await scene.client.state { $0.isConnected && $0.session?.epoch == 2 }
            try await scene.members(1, at: path)
            try await scene.server.restart()
            try await scene.members(1, at: path)
            _ = try await scene.client.exists(at: "/")
            #expect(began.value == nil)
            let far = try DistributedDoubleBarrier(client: scene.other, path: path, participantCount: 2)
            try await far.withBarrier { try await began.wait() }
            try await task.value
        }
    }

    @Test func `H60 a process that starts again replaces its earlier znode in one transaction`() async throws {
        let path = "/app/nodes/one"
        try await CacheScene.with { scene in
            try await scene.other.create(path, data: Array("web1 start 1".utf8), mode: .ephemeral, parents: true)
            let (_, watch) = try await scene.other.watchExistence(at: path)
            let node = try PersistentNode(
                client: scene.client, path: path, data: Array("web1 start 2".utf8),
                isOwn: { $0.data.starts(with: "web1".utf8) })
            let running = Task { try await node.run() }
            try await node.waitUntilExists()
            #expect(node.state.znode?.stat.ephemeralOwner == scene.client.session?.id)
            #expect(try await watch.event().kind == .deleted)
            // Deleted and created by one transaction: the parent's stat counts both in it.
            let stat = try #require(try await scene.other.exists(at: path))
            let parent = try #require(try await scene.other.exists(at: "/app/nodes"))
            #expect(parent.pzxid == stat.czxid)
            #expect(parent.childrenVersion == 3)
            running.cancel()
            try await running.value
        }
    }

    @Test func `H61 a version of -1, which would match anything, is refused`() async throws {
        try await CacheScene.with { scene in
            let value = try SharedValue(client: scene.client, path: "/value", initial: [1])
            var known = try await value.value()
            known.stat.dataVersion = -1
            await #expect(throws: RecipeError.self) { try await value.set([9], replacing: known) }
            #expect(try await value.value().data == [1])
        }
    }
}
