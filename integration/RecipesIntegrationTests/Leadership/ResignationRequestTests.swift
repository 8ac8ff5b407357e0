import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Operators that ask leaders to resign.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ResignationRequestTests {
    /// Asks the leader that the queue shows.
    private func request(
        _ scene: LeaderScene, to successor: String? = nil, timeout: Duration = .seconds(30)
    ) async throws -> ElectionParticipant? {
        let all = try await LeaderSelector.participants(client: scene.other, path: LeaderScene.path)
        return try await LeaderSelector.requestResignation(
            client: scene.other, path: LeaderScene.path, id: "ada", from: #require(all.first),
            to: all.first { $0.id == successor }, reason: "a test", timeout: timeout)
    }

    /// The error of a request that is not fulfilled.
    private func refusal(
        _ scene: LeaderScene, to successor: String? = nil, timeout: Duration = .milliseconds(500)
    ) async -> RecipeError? {
        await #expect(throws: RecipeError.self) { try await request(scene, to: successor, timeout: timeout) }
    }

    private func requests(_ scene: LeaderScene) async throws -> [String] {
        try await scene.other.children(of: LeaderScene.path + "-requests").names
    }

    @Test func `a leader that is asked resigns, and the next in the queue leads`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            let second = try scene.far("second")
            await second.waits()
            let third = try scene.far("third")
            await third.waits()
            #expect(try await request(scene)?.id == "second")
            #expect(!term.isValid)
            try await second.leads()
            await leader.waits()
            #expect(try await requests(scene).isEmpty)
            for one in [second, third, leader] { try await one.stop() }
        }
    }

    @Test func `a leader that is asked transfers to a participant, past those in front of it`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            try await leader.leads()
            let second = try scene.far("second")
            await second.waits()
            let third = try scene.far("third")
            await third.waits()
            #expect(try await request(scene, to: "third")?.id == "third")
            try await third.leads()
            #expect(!second.selector.isLeader)
            #expect(try await requests(scene).isEmpty)
            for one in [second, third, leader] { try await one.stop() }
        }
    }

    @Test func `a latch resigns as well`() async throws {
        try await LeaderScene.with { scene in
            let latch = try LeaderLatch(client: scene.client, path: LeaderScene.path, id: "latch")
            let running = Task { try await latch.run() }
            try await latch.waitUntilLeader()
            _ = try await request(scene)
            for await state in latch.states where state.isLeading && latch.term?.number == 2 { break }
            running.cancel()
            try await running.value
        }
    }

    @Test func `a transfer that is refused, and a leader that has left, are told, and the leader goes on`() async throws
    {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            var unwilling = LeaderConfiguration()
            unwilling.acceptsTransfers = false
            let other = try scene.far("other", unwilling)
            await other.waits()
            let refused = await refusal(scene, to: "other")
            #expect(refused?.code == .notAnswered && refused?.message?.contains("has read the request") == true)
            #expect(term.isValid)
            let before = try #require(try await other.selector.leader())
            try await leader.stop()
            try await other.leads()
            let late = await #expect(throws: RecipeError.self) {
                try await LeaderSelector.requestResignation(
                    client: scene.other, path: LeaderScene.path, id: "ada", from: before)
            }
            #expect(late?.code == .notLeading)
            #expect(other.selector.isLeader)
            try await other.stop()
        }
    }

    @Test func `a leader of another library reads nothing, and the request is withdrawn`() async throws {
        try await LeaderScene.with { scene in
            let name = ContenderName.base(uuid: ContenderName.makeUUID(using: Randomness()), kind: .lock)
            try await scene.client.create(
                "\(LeaderScene.path)/\(name)", data: Array("jvm".utf8), mode: .ephemeralSequential, parents: true)
            let refused = await refusal(scene)
            #expect(refused?.code == .notAnswered && refused?.participants == ["jvm"])
            #expect(refused?.message?.contains("has not read the request") == true)
            try await scene.noRequests()
        }
    }

    @Test func `a request that is withdrawn has no effect, however short the timeout is`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            try await leader.leads()
            for round in 0..<16 {
                let all = try await LeaderSelector.participants(client: scene.other, path: LeaderScene.path)
                let first = try #require(all.first)
                do {
                    try await LeaderSelector.requestResignation(
                        client: scene.other, path: LeaderScene.path, id: "ada", from: first,
                        timeout: .microseconds(300 * round))
                } catch let error as RecipeError where error.message?.contains("withdrawn") == true {
                    #expect(error.code == .notAnswered)
                    // The same term is still there to be ended.
                    try await LeaderSelector.requestResignation(
                        client: scene.other, path: LeaderScene.path, id: "ada", from: first)
                } catch let error as RecipeError where error.message?.contains("not known") == true {
                    // The request may not have been created.
                    do {
                        try await LeaderSelector.requestResignation(
                            client: scene.other, path: LeaderScene.path, id: "ada", from: first)
                    } catch let error as RecipeError {
                        #expect(error.code == .notLeading)
                    }
                } catch let error as RecipeError {
                    #expect(error.message?.contains("has read the request") == true)
                }
                try await scene.candidates { $0.count == 1 && $0[0].string != first.znode }
            }
            try await scene.noRequests()
            try await leader.stop()
        }
    }

    @Test func `a request of an unknown kind changes nothing and does not remain`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            let candidate = try await scene.candidates()[0]
            try await scene.other.create(
                "\(LeaderScene.path)-requests/\(candidate).1", data: Array("kind=future\n".utf8), mode: .ephemeral,
                parents: true)
            try await scene.other.setData(Array("leader".utf8), at: scene.path(candidate))
            try await scene.noRequests()
            #expect(term.isValid)
            try await leader.stop()
        }
    }

    @Test func `a cancelled request is withdrawn`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(20)) { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            await scene.proxy.hold(.both)
            let asking = Task { try await request(scene) }
            try await scene.requests { $0.count == 1 }
            asking.cancel()
            await #expect(throws: CancellationError.self) { try await asking.value }
            try await scene.noRequests()
            await scene.proxy.release(.both)
            #expect(term.isValid)
            try await leader.stop()
        }
    }

    @Test func `a session of the operator that is lost ends the request, and the wait has its limit`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(20)) { scene in
            let leader = try scene.near("leader")
            try await leader.leads()
            await scene.proxy.hold(.both)
            let asking = Task { await refusal(scene, timeout: .seconds(5)) }
            try await scene.requests { $0.count == 1 }
            try await scene.server.expireSession(of: scene.other)
            #expect(await asking.value?.code == .notAnswered)
            await scene.proxy.release(.both)
            try await leader.stop()
        }
    }
}

extension LeaderScene {
    /// Waits until nobody is asked for anything.
    fileprivate func noRequests() async throws { try await requests(where: \.isEmpty) }
}
