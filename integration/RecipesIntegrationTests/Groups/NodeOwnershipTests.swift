import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A znode belongs to whoever has created it, not to everything that uses the same session.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct NodeOwnershipTests {
    private static let path = "/app/members"

    @Test func `of two memberships with one id on one client the second is refused, and harms the first in nothing`()
        async throws
    {
        try await LockScene.with { scene in
            let first = try GroupMembership(client: scene.client, path: Self.path, id: "one", data: [1])
            let firstRun = Task { try await first.run() }
            try await first.waitUntilJoined()
            let stat = try #require(try await scene.other.exists(at: "\(Self.path)/one"))
            var configuration = GroupMembership.Configuration(client: scene.client)
            configuration.duplicateTimeout = .milliseconds(300)
            let second = try GroupMembership(
                client: scene.client, path: Self.path, id: "one", data: [2], configuration: configuration)
            let secondRun = Task { try await second.run() }
            await second.node.state { if case .occupied = $0 { true } else { false } }
            #expect(second.current["one"]?.isSelf != true)
            let error = await #expect(throws: RecipeError.self) { try await secondRun.value }
            #expect(error?.code == .duplicate)
            #expect(error?.occupant?.stat.czxid == stat.czxid)
            #expect(error?.description.contains("same client") == true)
            // Never written, never deleted.
            #expect(try await scene.other.exists(at: "\(Self.path)/one") == stat)
            #expect(first.node.state.isPresent)
            firstRun.cancel()
            try await firstRun.value
            #expect(try await scene.other.exists(at: "\(Self.path)/one") == nil)
        }
    }

    @Test func `a second node of one client takes over when the first ends, and the first one's end leaves it alone`()
        async throws
    {
        try await LockScene.with { scene in
            let path = "\(Self.path)/one"
            let first = try PersistentNode(client: scene.client, path: path, data: [1])
            let firstRun = Task { try await first.run() }
            try await first.waitUntilExists()
            let second = try PersistentNode(client: scene.client, path: path, data: [2])
            let secondRun = Task { try await second.run() }
            await second.state { if case .occupied = $0 { true } else { false } }
            // The first one's deletion is done, but its answer is lost: it is repeated.
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .delete && $0.path == path }
            firstRun.cancel()
            try await firstRun.value
            try await second.waitUntilExists()
            #expect(try await scene.other.data(at: path).data == [2])
            for _ in 0..<2 { _ = try await scene.client.exists(at: "/") }
            #expect(try await scene.other.data(at: path).data == [2])
            secondRun.cancel()
            try await secondRun.value
            #expect(try await scene.other.exists(at: path) == nil)
        }
    }

    @Test func `a second node of one client stays out through a new session`() async throws {
        try await LockScene.with { scene in
            let path = "\(Self.path)/one"
            let first = try PersistentNode(client: scene.client, path: path, data: [1])
            let firstRun = Task { try await first.run() }
            try await first.waitUntilExists()
            let second = try PersistentNode(client: scene.client, path: path, data: [2])
            let secondRun = Task { try await second.run() }
            await second.state { if case .occupied = $0 { true } else { false } }
            let old = first.state.znode?.stat.czxid
            try await scene.server.expireSession(of: scene.client)
            await first.state { $0.isPresent && $0.znode?.stat.czxid != old }
            await second.state { $0.znode != nil && $0.znode?.stat.czxid != old }
            #expect(try await scene.other.data(at: path).data == [1])
            for run in [secondRun, firstRun] {
                run.cancel()
                try await run.value
            }
        }
    }

    @Test func `a znode that the program creates with the same client is respected, and left alone at the end`()
        async throws
    {
        try await LockScene.with { scene in
            let path = "\(Self.path)/one"
            try await scene.client.create(path, data: [9], mode: .ephemeral, parents: true)
            let node = try PersistentNode(client: scene.client, path: path, data: [1], isOwn: { _ in true })
            let run = Task { try await node.run() }
            await node.state { if case .occupied = $0 { true } else { false } }
            run.cancel()
            try await run.value
            #expect(try await scene.other.data(at: path).data == [9])

            // Also in the place of an own one that somebody has deleted.
            try await scene.client.delete(path)
            let second = try PersistentNode(client: scene.client, path: path, data: [1])
            let secondRun = Task { try await second.run() }
            try await second.waitUntilExists()
            try await scene.client.transaction([.delete(path), .create(path, data: [9], mode: .ephemeral)])
            await second.state { if case .occupied = $0 { true } else { false } }
            secondRun.cancel()
            try await secondRun.value
            #expect(try await scene.other.data(at: path).data == [9])
        }
    }

    @Test func `two members of one client are not each other`() async throws {
        try await LockScene.with { scene in
            let members = try ["one", "two"].map { try GroupMembership(client: scene.client, path: Self.path, id: $0) }
            let runs = members.map { member in Task { try await member.run() } }
            for member in members {
                let seen = await member.members { $0.isLive && $0.count == 2 && $0[member.id]?.isSelf == true }
                #expect(seen.filter(\.isSelf).map(\.id) == [member.id])
            }
            for run in runs {
                run.cancel()
                try await run.value
            }
        }
    }

    @Test func `a znode that somebody deletes again and again is created with growing pauses`()
        async throws
    {
        try await LockScene.with { scene in
            let path = "\(Self.path)/one"
            let node = try PersistentNode(client: scene.client, path: path, data: [1])
            let run = Task { try await node.run() }
            try await node.waitUntilExists()
            let start = ContinuousClock.now
            // Somebody deletes each znode as soon as it exists.
            for _ in 0..<8 {
                while true {
                    let (stat, watch) = try await scene.other.watchExistence(at: path)
                    if stat != nil { break }
                    _ = try await watch.event()
                }
                try await scene.other.delete(path)
            }
            #expect(ContinuousClock.now - start > .milliseconds(150))
            await node.state { $0.isPresent }
            run.cancel()
            try await run.value
        }
    }
}
