import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What is asked of the owner of a contender's znode.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct ContenderRequestTests {
    private let request = ContenderRequest(
        .release, requesterID: "the other", reason: "a backup = urgent\nsecond line", details: ["priority": "3"])

    /// What an owner has heard.
    private actor Heard {
        private(set) var writes: [[UInt8]] = []
        private let (stream, continuation) = AsyncStream<Void>.makeStream()

        func note(_ data: [UInt8]) {
            writes.append(data)
            continuation.yield()
        }

        func next() async { for await _ in stream { return } }
    }

    private func contender(_ scene: LockScene, _ data: [UInt8], _ heard: Heard) -> Contender {
        Contender(client: scene.client, directory: LockScene.path, policy: .write, data: data) { _, data in
            Task { await heard.note(data) }
        }
    }

    private func send(
        _ request: ContenderRequest, to name: String, _ scene: LockScene
    ) async throws -> String? {
        try await request.send(
            to: name, inQueue: LockScene.path, client: scene.other, session: scene.other.connectedSession())
    }

    @Test func `a holder hears of a request, and what its znode says stays as it is`() async throws {
        try await LockScene.with { scene in
            let heard = Heard()
            let grant = try await contender(scene, [1, 2, 3], heard).acquire()
            grant.held.onWrite { data in Task { await heard.note(data) } }
            let name = grant.name.string
            for _ in 0..<2 {
                _ = try #require(try await send(request, to: name, scene))
                await heard.next()
                let taken = try await ContenderRequest.take(
                    for: name, inQueue: LockScene.path, session: grant.held.session)
                #expect(taken.requests == [request] && taken.isComplete)
            }
            #expect(await heard.writes == [[1, 2, 3], [1, 2, 3]])
            #expect(try await scene.other.data(at: grant.held.path).data == [1, 2, 3])
            #expect(try await scene.other.children(of: LockScene.path + "-requests").names.isEmpty)
            #expect(grant.held.isValid)
            #expect(try await scene.contenders() == [grant.name])
            grant.held.release()
        }
    }

    @Test func `a waiter hears of every request, keeps its place, and still hears of its own deletion`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            let heard = Heard()
            let waiter = contender(scene, [7], heard)
            let waiting = Task { try await waiter.acquire() }
            let name = try #require(try await scene.contenders { $0.count == 2 }.last)
            for _ in 0..<2 {
                _ = try #require(try await send(request, to: name.string, scene))
                await heard.next()
                let session = try await scene.client.connectedSession()
                let taken = try await ContenderRequest.take(
                    for: name.string, inQueue: LockScene.path, session: session)
                #expect(taken.requests == [request] && taken.isComplete)
            }
            try await scene.other.delete(scene.path(name))
            try await scene.contenders { $0.count == 2 && !$0.contains(name) }
            try await holder.finish()
            #expect(try await waiting.value.held.isValid)
        }
    }

    @Test func `a request to somebody who has left is refused, and one that nobody takes goes with its requesterID`()
        async throws
    {
        try await LockScene.with { scene in
            let grant = try await contender(scene, [], Heard()).acquire()
            _ = try #require(try await send(request, to: grant.name.string, scene))
            let requests = LockScene.path + "-requests"
            #expect(try await scene.other.children(of: requests).names.count == 1)
            #expect(try await send(request, to: "_c_nobody-lock-0000000007", scene) == nil)
            let (_, _, watch) = try await scene.client.watchChildren(of: requests)
            try await scene.server.expireSession(of: scene.other)
            _ = try await watch.event()
            #expect(try await scene.client.children(of: requests).names.isEmpty)
            grant.held.release()
        }
    }
}
