import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What an election asks of the servers.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct LeaderTrafficTests {
    /// What the near client has asked about the election since requests were last forgotten, without the transactions,
    /// whose paths the proxy does not see: one for each term, and the session's proofs.
    private func requests(_ scene: LeaderScene) async throws -> [String] {
        _ = try? await scene.client.exists(at: "/marker")
        var names: [String] = []
        while true {
            let request = try await scene.proxy.nextRequest { $0.path?.hasPrefix("/") == true && $0.path != "/" }
            guard let path = request.path, path != "/marker" else { return names }
            guard path.hasPrefix(LeaderScene.path) else { continue }
            let what = path == LeaderScene.epochPath ? " epoch" : path == LeaderScene.path ? "" : " candidate"
            names.append(request.isListing ? "list" : name(request.operation) + what)
        }
    }

    private func name(_ operation: ProxiedRequest.Operation) -> String {
        switch operation {
        case .createWithStat: "create"
        case .delete: "delete"
        case .getData: "read"
        case .exists: "exists"
        default: "\(operation.rawValue)"
        }
    }

    @Test func `a term without rivals costs a create, a listing, a read, a transaction and a delete`() async throws {
        try await LeaderScene.with { scene in
            let before = try scene.near("before")
            try await before.leads()
            try await before.stop()
            scene.proxy.clearRequests()
            let one = try scene.near("one")
            try await one.leads()
            try await one.stop()
            let asked = try await requests(scene).filter { $0 != "read candidate" }
            #expect(asked == ["create candidate", "list", "read epoch", "delete candidate"])
        }
    }

    @Test func `who follows a leader lists once, and nobody else is woken`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.far("leader")
            try await leader.leads()
            let next = try scene.near("next")
            await next.waits()
            let behind = try scene.near("behind")
            await behind.waits()
            _ = try await requests(scene)
            try await leader.stop()
            try await next.leads()
            let asked = try await requests(scene).filter { $0 != "read candidate" }
            #expect(asked == ["list", "read epoch"])
            try await behind.stop()
            try await next.stop()
        }
    }

    @Test func `who waits and who leads asks for nothing but the session's proofs`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            let waiter = try scene.near("waiter")
            await waiter.waits()
            // The leader's own znode is watched after a moment.
            try await scene.proxy.nextRequest {
                $0.operation == .getData && $0.path?.hasPrefix(LeaderScene.path + "/") == true
            }
            _ = try await scene.client.exists(at: "/")
            scene.proxy.clearRequests()
            let first = try #require(term.validUntil)
            // Two proofs later.
            while try #require(term.validUntil) < first + .seconds(2) {
                try await scene.proxy.nextRequest { $0.operation == .multi }
            }
            #expect(try await requests(scene).allSatisfy { $0 == "read candidate" })
            try await waiter.stop()
            try await leader.stop()
        }
    }
}
