import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The requests of a directed transfer among three participants; see ``RequestCountTests``.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct TransferCountTests {
    /// Lets one of three participants lead.
    private func with(
        leaderIsNear: Bool,
        _ body: (AskedRequests, _ leader: Contestant, _ next: Contestant) async throws -> Void
    ) async throws {
        try await AskedRequests.with { scene, asked in
            try await scene.other.create(LeaderScene.path + "-requests", mode: .container, parents: true)
            let clients = leaderIsNear ? [scene.client, scene.other] : [scene.other, scene.client]
            let leader = try Contestant(client: clients[0], id: "leader")
            try await leader.leads()
            if leaderIsNear {
                // Its own znode is watched after a moment.
                try await scene.proxy.nextRequest {
                    $0.operation == .getData && $0.path?.hasPrefix(LeaderScene.path + "/") == true
                }
            }
            let second = try Contestant(client: scene.other, id: "second")
            await second.waits()
            let next = try Contestant(client: clients[1], id: "next")
            await next.waits()
            try await asked.forget()
            try await leader.selector.resign(to: "next")
            try await next.leads()
            try await body(asked, leader, next)
            for one in [second, next, leader] { try await one.stop() }
        }
    }

    @Test func `by the leader`() async throws {
        try await with(leaderIsNear: true) { asked, leader, _ in
            await leader.waits()
            // Who is it; the offer; its use; the end of the term. Then it stands again.
            let participants = ["list", "read", "read", "read"]
            let transfer = ["read", "multi", "exists", "exists", "unwatch", "multi", "exists", "delete"]
            let all = try await asked.all(16)
            #expect(all == participants + transfer + ["create", "list", "read", "read"])
        }
    }

    @Test func `by the one who comes`() async throws {
        try await with(leaderIsNear: false) { asked, _, _ in
            let all = try await asked.all(8, watchesHeld: false)
            // The offer; the change of places and of what is watched, which depends on what comes first; the office.
            #expect(all.starts(with: ["list", "read", "multi"]) && all.suffix(2) == ["read", "multi"], "\(all)")
            #expect((8...11).contains(all.count) && all.count { $0 == "multi" } == 2, "\(all)")
        }
    }
}
