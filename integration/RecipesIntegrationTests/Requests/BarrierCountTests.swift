import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The requests of barriers; see ``RequestCountTests``.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct BarrierCountTests {
    private static let path = "/barrier"

    @Test func `a barrier that is set, waited for and removed`() async throws {
        try await AskedRequests.with { scene, asked in
            let near = try DistributedBarrier(client: scene.client, path: Self.path)
            let far = try DistributedBarrier(client: scene.other, path: Self.path)
            try await asked.forget()
            try await near.set()
            try await near.remove()
            #expect(try await asked.all(2) == ["create", "delete"])
            try await near.wait()
            #expect(try await asked.all(2) == ["multi", "read"])
            try await far.set()
            async let wait: Void = near.wait()
            #expect(try await asked.all(2) == ["multi", "read"])
            try await far.remove()
            try await wait
            // The event is no proof: it looks again.
            #expect(try await asked.all(2) == ["multi", "read"])
        }
    }

    /// Enters, and stays inside until it is let go.
    private struct Visit: Sendable {
        let inside = OneShot<Void>()
        let letGo = OneShot<Void>()
        private let task: Task<Void, any Error>

        init(_ client: ZooKeeperClient) throws {
            let barrier = try DistributedDoubleBarrier(
                client: client, path: BarrierCountTests.path, participantCount: 2)
            let (inside, letGo) = (inside, letGo)
            task = Task {
                try await barrier.withBarrier {
                    inside.set(())
                    try await letGo.wait()
                }
            }
        }

        func hasLeft() async throws { try await task.value }
    }

    @Test func `the first one of two to enter a double barrier and to leave it`() async throws {
        try await AskedRequests.with { scene, asked in
            try await scene.other.create(Self.path)
            try await asked.forget()
            let near = try Visit(scene.client)
            #expect(try await asked.all(4) == ["create", "read", "exists", "list"])
            let far = try Visit(scene.other)
            try await near.inside.wait()
            #expect(try await asked.all(3) == ["exists", "list", "unwatch"])
            near.letGo.set(())
            // Its own znode goes; then it waits for the other one.
            #expect(try await asked.all(7) == ["multi", "read", "delete", "multi", "exists", "list", "exists"])
            // The other one, which sees the barrier empty as well, is kept from being quicker.
            far.letGo.set(())
            try await near.hasLeft()
            let last = try await asked.all(3)
            #expect(last.starts(with: ["multi", "exists", "list"]) && last.dropFirst(3).allSatisfy { $0 == "delete" })
            try await far.hasLeft()
        }
    }

    @Test func `the last one of two to enter a double barrier and to leave it`() async throws {
        try await AskedRequests.with { scene, asked in
            try await scene.other.create(Self.path)
            let far = try Visit(scene.other)
            try await scene.members(1, at: Self.path)
            try await asked.forget()
            let near = try Visit(scene.client)
            try await near.inside.wait()
            // It looks who the other one is, begins the round, and passes because of that as the other one does.
            #expect(
                try await asked.all(9)
                    == ["create", "read", "exists", "list", "exists", "multi", "exists", "list", "unwatch"])
            far.letGo.set(())
            try await scene.members(1, at: Self.path)
            near.letGo.set(())
            try await near.hasLeft()
            let left = try await asked.all(6)
            #expect(left.starts(with: ["multi", "read", "delete", "multi", "exists", "list"]))
            #expect(left.dropFirst(6).allSatisfy { $0 == "delete" })
            try await far.hasLeft()
        }
    }
}
