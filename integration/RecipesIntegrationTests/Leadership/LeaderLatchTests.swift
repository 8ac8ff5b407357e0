import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// The leadership as a flag, as a gate for services, and as others see it.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct LeaderLatchTests {
    private func latch(_ client: ZooKeeperClient, _ id: String) throws -> (
        latch: LeaderLatch, task: Task<Void, any Error>
    ) {
        let latch = try LeaderLatch(client: client, path: LeaderScene.path, id: id)
        return (latch, Task { try await latch.run() })
    }

    @Test func `the flag is true in one process, and moves on when that one leaves`() async throws {
        try await LeaderScene.with { scene in
            let one = try latch(scene.client, "one")
            let term = try await one.latch.waitUntilLeader()
            #expect(one.latch.isLeader && one.latch.term === term)
            let two = try latch(scene.other, "")
            for await state in two.latch.states where state == .waiting(position: 1) { break }
            #expect(!two.latch.isLeader && two.latch.term == nil)
            let names = try await scene.candidates()
            #expect(names.allSatisfy { $0.kind == .latch })
            #expect(try await two.latch.participants().map(\.id) == ["one", ""])
            #expect(try await two.latch.leader()?.id == "one")
            try await one.latch.close()
            #expect(!one.latch.isLeader && !term.isValid)
            try await one.task.value
            let next = try await two.latch.waitUntilLeader()
            #expect(next.fencingToken > term.fencingToken)
            try await two.latch.close()
            try await two.task.value
            #expect(try await scene.candidates().isEmpty)
            let error = await #expect(throws: RecipeError.self) { try await two.latch.waitUntilLeader() }
            #expect(error?.code == .stopped)
        }
    }

    @Test(arguments: [false, true])
    func `a latch that is closed tells its followers, or does not`(tells: Bool) async throws {
        try await LeaderScene.with { scene in
            let one = try latch(scene.client, "one")
            try await one.latch.waitUntilLeader()
            let states = one.latch.states
            try await one.latch.close(tells ? .notifyLeader : .silent)
            var seen: [LeaderState] = []
            for await state in states { seen.append(state) }
            #expect(seen.first?.isLeading == true)
            #expect(Array(seen.dropFirst()) == (tells ? [.waiting(position: nil), .stopped] : []))
            #expect(one.latch.state == .stopped && !one.latch.isLeader)
            try await one.latch.close()
            try await one.task.value
        }
    }

    @Test func `the flag turns false when the own znode is deleted, and comes back`() async throws {
        try await LeaderScene.with { scene in
            let one = try latch(scene.client, "one")
            let term = try await one.latch.waitUntilLeader()
            try await scene.other.delete(scene.path(scene.candidates()[0]))
            #expect(try await term.waitUntilLost() == .znodeDeleted)
            #expect(!term.isValid)
            let next = try await one.latch.waitUntilLeader()
            #expect(next.number == 2 && next.fencingToken > term.fencingToken)
            try await one.latch.close()
        }
    }

    @Test func `on a silent network the flag turns false before the server ends the session`() async throws {
        try await LeaderScene.with { scene in
            let one = try latch(scene.client, "one")
            let term = try await one.latch.waitUntilLeader()
            await scene.proxy.hold(.both)
            // The server's word of it comes after the latch's own.
            try await scene.candidates(where: \.isEmpty)
            #expect(!one.latch.isLeader && !term.isValid)
            #expect(try await term.waitUntilLost() == .deadlinePassed)
            await scene.proxy.release(.both)
            try await one.latch.close()
        }
    }

    @Test func `when the one in front goes, nobody behind it loses its place`() async throws {
        try await LeaderScene.with { scene in
            let one = try latch(scene.other, "one")
            try await one.latch.waitUntilLeader()
            let two = try latch(scene.client, "two")
            for await state in two.latch.states where state == .waiting(position: 1) { break }
            let three = try latch(scene.other, "three")
            for await state in three.latch.states where state == .waiting(position: 2) { break }
            let names = try await scene.candidates()
            try await scene.other.delete(scene.path(names[0]))
            try await two.latch.waitUntilLeader()
            let after = try await scene.candidates { $0.count == 3 }
            #expect(Array(after.prefix(2)) == Array(names.dropFirst()))
            for latch in [one, two, three] { try await latch.latch.close() }
        }
    }

    @Test func `a latch runs as long as its operation, which can follow the leaders`() async throws {
        try await LeaderScene.with { scene in
            try await withLeaderLatch(client: scene.client, path: LeaderScene.path, id: "one") { latch in
                try await latch.waitUntilLeader()
                for try await leader in latch.leaderChanges() {
                    #expect(leader?.id == "one")
                    break
                }
            }
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `a wait for the leadership, for a group or for a znode ends with its timeout`() async throws {
        try await LeaderScene.with { scene in
            let one = try latch(scene.client, "one")
            try await one.latch.waitUntilLeader(timeout: .seconds(60))
            let two = try latch(scene.other, "two")
            let late = await #expect(throws: RecipeError.self) {
                try await two.latch.waitUntilLeader(timeout: .milliseconds(200))
            }
            #expect(late?.code == .timedOut && late?.recipe == .election)
            // The latch stays in the election.
            try await one.latch.close()
            try await two.latch.waitUntilLeader(timeout: .seconds(60))
            try await two.latch.close()
            // Nothing runs it, so it never joins.
            let membership = try GroupMembership(client: scene.client, path: "/app/members", id: "one")
            let absent = await #expect(throws: RecipeError.self) {
                try await membership.waitUntilJoined(timeout: .milliseconds(200))
            }
            #expect(absent?.code == .timedOut && absent?.recipe == .group)
        }
    }

    @Test func `a latch whose client stops fails its operation with the client's error`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.far("one")
            try await one.leads()
            let error = await #expect(throws: ZooKeeperError.self) {
                try await withLeaderLatch(client: scene.client, path: LeaderScene.path, id: "two") { latch in
                    for await state in latch.states where state == .waiting(position: 1) { break }
                    scene.client.triggerGracefulShutdown()
                    try await latch.waitUntilLeader()
                }
            }
            #expect(error?.code == .clientStopped)
            try await one.stop()
        }
    }

    @Test func `those who follow an election see each leader, and the last one`() async throws {
        try await LeaderScene.with { scene in
            let seen = Notes()
            let follower = Task {
                for try await leader in LeaderSelector.leaderChanges(client: scene.client, path: LeaderScene.path) {
                    seen.add(leader?.id ?? "nobody")
                }
            }
            await seen.count(1)
            let one = try scene.far("one")
            await seen.count(2)
            let two = try scene.far("two")
            await two.waits()
            // Its watch and its session are gone: the follower looks again.
            try await scene.server.expireSession(of: scene.client)
            try await one.stop()
            await seen.count(3)
            // Followers may see a leader before it has begun its term.
            _ = try await two.leads()
            try await two.selector.resign()
            await seen.count(4)
            try await two.stop()
            await seen.count(5)
            #expect(seen.all.filter { $0 != "nobody" } == ["one", "two", "two"])
            #expect(seen.all.first == "nobody" && seen.all.last == "nobody")
            follower.cancel()
            try await follower.value
        }
    }

    /// A service that notes what happens to it.
    private struct Worker: Service {
        var name: String
        var notes: Notes
        /// What it waits for before it ends, once it is told to.
        var goOn: OneShot<Void>?

        func run() async throws {
            notes.add("\(name) begins")
            do {
                try await gracefulShutdown()
                if let goOn { try await goOn.wait() }
                notes.add("\(name) ends gracefully")
            } catch {
                notes.add("\(name) is cancelled")
            }
        }
    }

    private func gated(
        _ client: ZooKeeperClient, _ id: String, _ notes: Notes, goOn: OneShot<Void>? = nil,
        grace: Duration = .seconds(10)
    ) throws -> (service: LeaderGatedService, task: Task<Void, any Error>) {
        let service = try LeaderGatedService(client: client, path: LeaderScene.path, id: id, gracePeriod: grace) { _ in
            Worker(name: id, notes: notes, goOn: goOn)
        }
        return (service, Task { try await service.run() })
    }

    @Test func `a gated service runs where its process leads, and ends before the next one begins`() async throws {
        try await LeaderScene.with { scene in
            let (notes, goOn) = (Notes(), OneShot<Void>())
            let one = try gated(scene.client, "one", notes, goOn: goOn)
            await notes.count(1)
            let two = try gated(scene.other, "two", notes)
            for await state in two.service.selector.states where state == .waiting(position: 1) { break }
            let resigning = Task { try await one.service.selector.resign() }
            #expect(try await scene.candidates().count == 2)
            goOn.set(())
            try await resigning.value
            await notes.count(3)
            #expect(notes.all == ["one begins", "one ends gracefully", "two begins"])
            two.task.cancel()
            try await two.task.value
            await notes.count(5)
            #expect(notes.all[3] == "two is cancelled" && notes.all[4] == "one begins")
            one.task.cancel()
            try await one.task.value
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `a gated service is cancelled when the leadership is lost, and when its grace is over`() async throws {
        try await LeaderScene.with { scene in
            let notes = Notes()
            let one = try gated(scene.client, "one", notes, goOn: OneShot(), grace: .milliseconds(100))
            await notes.count(1)
            try await scene.other.delete(scene.path(scene.candidates()[0]))
            await notes.count(3)
            #expect(notes.all == ["one begins", "one is cancelled", "one begins"])
            try await one.service.selector.resign()
            await notes.count(5)
            #expect(Array(notes.all.suffix(2)) == ["one is cancelled", "one begins"])
            one.task.cancel()
            try await one.task.value
        }
    }

    @Test func `a gated service ends gracefully with its group`() async throws {
        try await LeaderScene.with { scene in
            let notes = Notes()
            let service = try LeaderGatedService(client: scene.client, path: LeaderScene.path, id: "one") { _ in
                Worker(name: "one", notes: notes)
            }
            let group = ServiceGroup(services: [service], logger: Logger(label: "test"))
            let running = Task { try await group.run() }
            await notes.count(1)
            await group.triggerGracefulShutdown()
            try await running.value
            #expect(notes.all == ["one begins", "one ends gracefully"])
            #expect(try await scene.candidates().isEmpty)
        }
    }
}
