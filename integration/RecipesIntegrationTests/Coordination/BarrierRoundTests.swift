import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Who counts for a round of a double barrier.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct BarrierRoundTests {
    private static let path = "/app/phase"

    private func barrier(_ client: ZooKeeperClient, participants: Int = 2) throws -> DistributedDoubleBarrier {
        try DistributedDoubleBarrier(client: client, path: Self.path, participantCount: participants)
    }

    /// A participant that stays inside until it is let go.
    private struct Visit: Sendable {
        let inside = OneShot<Void>()
        let letGo = OneShot<Void>()
        /// Whether the operation's task was cancelled.
        let wasCancelled = OneShot<Bool>()
        let task: Task<Void, any Error>

        init(_ client: ZooKeeperClient, leaveTimeout: Duration? = nil) throws {
            let barrier = try DistributedDoubleBarrier(
                client: client, path: BarrierRoundTests.path, participantCount: 2)
            let (inside, letGo, wasCancelled) = (inside, letGo, wasCancelled)
            task = Task {
                try await barrier.withBarrier(leaveTimeout: leaveTimeout) {
                    inside.set(())
                    try? await letGo.wait()
                    wasCancelled.set(Task.isCancelled)
                }
            }
        }
    }

    @Test func `a participant whose session ends inside learns of it, is out, and does not enter again by itself`()
        async throws
    {
        try await CacheScene.with { scene in
            let (near, far) = (try Visit(scene.client), try Visit(scene.other))
            try await near.inside.wait()
            try await far.inside.wait()
            try await scene.server.expireSession(of: scene.client)
            #expect(try await near.wasCancelled.wait())
            let error = await #expect(throws: ZooKeeperError.self) { try await near.task.value }
            #expect(error?.code == .sessionExpired)
            try await scene.members(1, at: Self.path)
            await scene.client.state { $0.isConnected && $0.session?.epoch == 2 }
            try await scene.members(1, at: Self.path)
            far.letGo.set(())
            try await far.task.value
            try await scene.members(0, at: Self.path)
        }
    }

    @Test func `a participant whose znode is deleted inside is out`() async throws {
        try await CacheScene.with { scene in
            let near = try Visit(scene.client)
            try await scene.members(1, at: Self.path)
            let name = try #require(try await scene.other.children(of: Self.path).names.first)
            let far = try Visit(scene.other)
            try await near.inside.wait()
            try await far.inside.wait()
            try await scene.other.delete("\(Self.path)/\(name)")
            #expect(try await near.wasCancelled.wait())
            let error = await #expect(throws: ZooKeeperError.self) { try await near.task.value }
            #expect(error?.code == .noNode)
            far.letGo.set(())
            try await far.task.value
        }
    }

    @Test func `the next round waits for a participant of the last one, after one has left by its deadline`()
        async throws
    {
        try await CacheScene.with { scene in
            let (near, far) = (try Visit(scene.client, leaveTimeout: .milliseconds(200)), try Visit(scene.other))
            try await near.inside.wait()
            try await far.inside.wait()
            near.letGo.set(())
            await #expect(throws: RecipeError.self) { try await near.task.value }
            let again = try Visit(scene.client)
            try await scene.members(2, at: Self.path)
            // A third one makes the next round complete; it still waits for the one inside.
            let third = try Visit(scene.other)
            try await scene.members(3, at: Self.path)
            for client in [scene.client, scene.other] {
                for _ in 0..<10 { try await client.sync(Self.path) }
            }
            #expect(again.inside.value == nil && third.inside.value == nil)
            far.letGo.set(())
            try await far.task.value
            try await again.inside.wait()
            try await third.inside.wait()
            for visit in [again, third] { visit.letGo.set(()) }
            for visit in [again, third] { try await visit.task.value }
            try await scene.members(0, at: Self.path)
        }
    }

    @Test func `the next round waits for a participant of the last one, after another one's session has ended`()
        async throws
    {
        try await CacheScene.with { scene in
            let (near, far) = (try Visit(scene.client), try Visit(scene.other))
            try await near.inside.wait()
            try await far.inside.wait()
            try await scene.server.expireSession(of: scene.client)
            await #expect(throws: ZooKeeperError.self) { try await near.task.value }
            let again = try Visit(scene.client)
            try await scene.members(2, at: Self.path)
            for _ in 0..<10 { try await scene.client.sync(Self.path) }
            #expect(again.inside.value == nil)
            far.letGo.set(())
            try await far.task.value
            let next = try Visit(scene.other)
            try await again.inside.wait()
            try await next.inside.wait()
            for visit in [again, next] { visit.letGo.set(()) }
            for visit in [again, next] { try await visit.task.value }
        }
    }

    @Test func `children that are no participants neither let anybody pass nor keep anybody from leaving`() async throws
    {
        try await CacheScene.with { scene in
            try await scene.other.create("\(Self.path)/archive/one", parents: true)
            try await scene.other.create("\(Self.path)/owner", data: [1])
            let near = try Visit(scene.client)
            try await scene.children(3, at: Self.path)
            for _ in 0..<10 { try await scene.client.sync(Self.path) }
            #expect(near.inside.value == nil)
            let far = try Visit(scene.other)
            try await near.inside.wait()
            try await far.inside.wait()
            for visit in [near, far] { visit.letGo.set(()) }
            for visit in [near, far] { try await visit.task.value }
            #expect(try await scene.other.children(of: Self.path).names.sorted() == ["archive", "owner"])
        }
    }

    @Test func `an operation that is cancelled or shut down keeps its place until it has ended`() async throws {
        try await CacheScene.with { scene in
            let entered = OneShot<Void>()
            let letGo = OneShot<Void>()
            let alone = try barrier(scene.client, participants: 1)
            let task = Task {
                try await alone.withBarrier {
                    entered.set(())
                    // It goes on to its end.
                    await Task { try? await letGo.wait() }.value
                }
            }
            try await entered.wait()
            task.cancel()
            for _ in 0..<10 { try await scene.client.sync(Self.path) }
            try await scene.members(1, at: Self.path)
            letGo.set(())
            _ = await task.result
            try await scene.members(0, at: Self.path)
        }
    }
}

extension CacheScene {
    /// Waits until a znode has so many children.
    fileprivate func children(_ count: Int, at path: String) async throws {
        while true {
            let (names, _, watch) = try await other.watchChildren(of: path)
            if names.count == count { return }
            _ = try await watch.event()
        }
    }
}
