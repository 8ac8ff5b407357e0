import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import ZooKeeperRecipes

/// Lists that are read in several requests, while the connection is lost between them.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct ListingTests {
    private func losing(_ list: @escaping @Sendable (ZooKeeperClient) async throws -> Int) async throws {
        try await CacheScene.with { scene in
            for path in ["/election", "/queue"] {
                for number in 0..<3 {
                    let uuid = ContenderName.makeUUID(using: scene.other.randomness)
                    let base = ContenderName.base(uuid: uuid, kind: .lock)
                    _ = try await scene.other.create(
                        "\(path)/\(base)", data: [UInt8(65 + number)], mode: .persistentSequential, parents: true)
                }
            }
            for number in 0..<3 { try await scene.other.create("/group/members/n\(number)", parents: true) }
            #expect(try await list(scene.client) == 3)
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .getData }
            #expect(try await list(scene.client) == 3)
        }
    }

    @Test func `participants of an election`() async throws {
        try await losing { try await LeaderSelector.participants(client: $0, path: "/election").count }
    }

    @Test func `a lock's queue`() async throws {
        try await losing { try await DistributedMutex(client: $0, path: "/queue").queue().count }
    }

    @Test func `a partition group's nodes`() async throws {
        try await losing { try await PartitionGroup.status(client: $0, path: "/group").nodes.count }
    }

    @Test func `children with their data, and what may not be read`() async throws {
        try await losing { try await $0.childrenWithData(of: "/queue").count }
        try await CacheScene.with { scene in
            let hidden = [ACL(permissions: [.delete, .admin], scheme: "world", id: "anyone")]
            try await scene.other.create("/some/a", data: [1], parents: true)
            try await scene.other.create("/some/b", data: [2], acl: hidden)
            for number in 0..<100 { try await scene.other.create("/some/c\(number)", data: [3]) }
            let children = try await scene.client.childrenWithData(of: "/some") { !$0.hasPrefix("c1") }
            #expect(children.prefix(3).map(\.path) == ["/some/a", "/some/b", "/some/c0"])
            #expect(children.prefix(3).map(\.data) == [[1], nil, [3]] && children.count == 91)
            #expect(try await scene.client.childrenWithData(of: "/none").isEmpty)
            #expect(try await scene.client.dataIfExists(at: "/none") == nil)
            try await scene.other.create("/group/members", parents: true)
            try await scene.other.create("/group/members/n1", acl: hidden)
            let error = await #expect(throws: ZooKeeperError.self) {
                try await PartitionGroup.status(client: scene.client, path: "/group")
            }
            #expect(error?.code == .noAuth && error?.path == "/group/members/n1")
        }
    }

    @Test func `a barrier's time limit is a barrier's`() async throws {
        try await CacheScene.with { scene in
            let barrier = try DistributedBarrier(client: scene.client, path: "/barrier")
            _ = try await barrier.set()
            let error = await #expect(throws: RecipeError.self) {
                try await barrier.wait(timeout: .milliseconds(50))
            }
            #expect(error?.code == .timedOut && error?.recipe == .barrier)
        }
    }
}
