import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Leaders that have somebody else lead next.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct LeaderTransferTests {
    @Test func `the named participant leads next, past those in front of it, and the token grows`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            let second = try scene.far("second")
            await second.waits()
            let third = try scene.far("third")
            await third.waits()
            try await leader.selector.resign(to: "third")
            #expect(!term.isValid && term.number == 1)
            let next = try await third.leads()
            #expect(next.fencingToken > term.fencingToken)
            await leader.waits()
            #expect(try await third.selector.participants().map(\.id) == ["third", "second", "leader"])
            #expect(try await scene.other.children(of: LeaderScene.path + "-requests").names.isEmpty)
            // And back again, with the same number.
            try await third.selector.resign(to: "leader")
            let last = try await leader.leads(term: 2)
            #expect(last.fencingToken > next.fencingToken)
            #expect(!second.selector.isLeader)
            for one in [second, third, leader] { try await one.stop() }
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `while the leader finishes, the named participant stands beside it, and nobody else comes in`()
        async throws
    {
        try await LeaderScene.with { scene in
            let (cancelled, goOn) = (OneShot<Void>(), OneShot<Void>())
            let leader = try scene.near("leader") { term in
                try? await OneShot<Void>().wait()
                cancelled.set(())
                await withCheckedContinuation { continuation in goOn.observe { continuation.resume() } }
            }
            try await leader.leads()
            let second = try scene.far("second")
            await second.waits()
            let third = try scene.far("third")
            await third.waits()
            let transfer = Task { try await leader.selector.resign(to: "third") }
            try await cancelled.wait()
            let standing = try await scene.candidates()
            #expect(standing.map(\.number) == [standing[0].number, standing[0].number, standing[0].number + 1])
            let participants = try await second.selector.participants()
            #expect(participants.map(\.id) == ["leader", "third", "second"])
            #expect(try await second.selector.leader()?.id == "leader")
            #expect(!third.selector.isLeader && !second.selector.isLeader)
            goOn.set(())
            try await transfer.value
            try await third.leads()
            for one in [second, third, leader] { try await one.stop() }
        }
    }

    @Test func `what cannot be is refused, and the leader goes on`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            var unwilling = LeaderConfiguration()
            unwilling.acceptsTransfers = false
            let other = try scene.far("other", unwilling)
            await other.waits()
            func code(of id: String, from contestant: Contestant) async -> RecipeError.Code? {
                await #expect(throws: RecipeError.self) { try await contestant.selector.resign(to: id) }?.code
            }
            #expect(await code(of: "leader", from: leader) == .invalidArgument)
            #expect(await code(of: "nobody", from: leader) == .unknownParticipant)
            #expect(await code(of: "other", from: leader) == .transferRefused)
            #expect(await code(of: "leader", from: other) == .notLeading)
            #expect(term.isValid && leader.selector.term === term)
            #expect(try await scene.other.children(of: LeaderScene.path + "-requests").names.isEmpty)
            try await other.stop()
            try await leader.stop()
        }
    }

    @Test func `a participant that does not answer does not lead, not even when it comes late`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(20)) { scene in
            let leader = try scene.far("leader")
            let term = try await leader.leads()
            let second = try scene.far("second")
            await second.waits()
            let silent = try scene.near("silent")
            await silent.waits()
            await scene.proxy.hold(.both)
            let error = await #expect(throws: RecipeError.self) {
                try await leader.selector.resign(to: "silent", timeout: .milliseconds(300))
            }
            #expect(error?.code == .timedOut)
            #expect(term.isValid)
            await scene.proxy.release(.both)
            let marker = try await scene.client.create("/marker")
            #expect(marker.path == "/marker")
            try await leader.stop()
            try await second.leads()
            for one in [second, silent] { try await one.stop() }
        }
    }

    @Test func `a participant without candidates of this package is offered the place in vain`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            let name = ContenderName.base(uuid: ContenderName.makeUUID(using: Randomness()), kind: .lock)
            try await scene.other.create(
                "\(LeaderScene.path)/\(name)", data: Array("jvm".utf8), mode: .ephemeralSequential)
            let error = await #expect(throws: RecipeError.self) {
                try await leader.selector.resign(to: "jvm", timeout: .milliseconds(200))
            }
            #expect(error?.code == .timedOut && term.isValid)
            let seen = try await leader.selector.participants()
            #expect(seen.map(\.id) == ["leader", "jvm"])
            try await leader.stop()
        }
    }

    @Test(arguments: [false, true])
    func `an answer or a request of the one who comes that is lost changes nothing`(losesAnswer: Bool) async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(10)) { scene in
            let leader = try scene.far("leader")
            try await leader.leads()
            let second = try scene.far("second")
            await second.waits()
            let third = try scene.near("third")
            await third.waits()
            if losesAnswer {
                await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .multi }
            } else {
                await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .multi }
            }
            try await leader.selector.resign(to: "third")
            try await third.leads()
            try await scene.candidates { $0.count == 3 }
            for one in [second, third, leader] { try await one.stop() }
            try await scene.candidates(where: \.isEmpty)
        }
    }

    @Test func `a stop right after the offer was accepted leaves nothing behind`() async throws {
        try await LeaderScene.with { scene in
            let (cancelled, goOn) = (OneShot<Void>(), OneShot<Void>())
            let leader = try scene.far("leader") { _ in
                try? await OneShot<Void>().wait()
                cancelled.set(())
                await withCheckedContinuation { continuation in goOn.observe { continuation.resume() } }
            }
            try await leader.leads()
            let next = try scene.near("next")
            await next.waits()
            let transfer = Task { try await leader.selector.resign(to: "next") }
            try await cancelled.wait()
            try await next.stop()
            try await scene.candidates { $0.count == 1 }
            goOn.set(())
            try await transfer.value
            try await leader.leads(term: 2)
            leader.task.cancel()
            try await leader.task.value
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `a preferred participant asks again when its request has come to nothing`() async throws {
        try await LeaderScene.with(sessionTimeout: .seconds(30)) { scene in
            let leader = try scene.near("leader")
            try await leader.leads()
            // The leader does not hear of the request before somebody has taken it away.
            await scene.proxy.hold(.toClient)
            var configuration = LeaderConfiguration()
            configuration.priority = 1
            configuration.takeoverDelay = .zero
            let preferred = try scene.far("preferred", configuration)
            try await scene.other.delete(try await scene.request())
            await scene.proxy.release(.toClient)
            try await preferred.leads()
            for one in [preferred, leader] { try await one.stop() }
        }
    }

    @Test func `a preferred participant leads once it is ready, and nobody of its own rank moves it`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("ordinary")
            let term = try await leader.leads()
            func rank(_ priority: Int, ready: Bool) -> LeaderConfiguration {
                var configuration = LeaderConfiguration()
                configuration.priority = priority
                configuration.takeoverDelay = .milliseconds(50)
                configuration.isReadyAtStart = ready
                return configuration
            }
            let preferred = try scene.far("preferred", rank(5, ready: false))
            await preferred.waits()
            let other = try scene.far("other")
            await other.waits()
            #expect(term.isValid)
            preferred.selector.setReady(true)
            let next = try await preferred.leads()
            #expect(next.fencingToken > term.fencingToken)
            await leader.waits()
            let equal = try scene.near("equal", rank(5, ready: true))
            await equal.waits()
            let higher = try scene.near("higher", rank(7, ready: true))
            try await higher.leads()
            #expect(!equal.selector.isLeader && equal.selector.state.isWaiting)
            // It has lost its place to the one, and waits for its turn or for a leader of a lower rank.
            try await higher.selector.resign(to: "ordinary")
            await preferred.state { $0.isLeading || $0.isWaiting }
            for one in [leader, preferred, other, equal, higher] { try await one.stop() }
            try await scene.candidates(where: \.isEmpty)
        }
    }

    @Test func `a candidate whose data was overwritten gets its id back`() async throws {
        try await LeaderScene.with { scene in
            let leader = try scene.near("leader")
            let term = try await leader.leads()
            let other = try scene.far("other")
            await other.waits()
            for name in try await scene.candidates() {
                try await scene.other.setData(Array("__REVOKE__".utf8), at: scene.path(name))
            }
            while try await leader.selector.participants().map(\.id) != ["leader", "other"] {
                // Each look is a round trip after the one that tells the owners.
            }
            #expect(term.isValid && leader.selector.term === term)
            try await other.stop()
            try await leader.stop()
        }
    }
}

extension LeaderScene {
    /// Waits until somebody asks something of somebody; gives the request's path.
    fileprivate func request() async throws -> String {
        let names = try await requests { !$0.isEmpty }
        return "\(Self.path)-requests/\(names[0])"
    }
}
