import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// An election without faults.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LeaderSelectorTests {
    @Test func `one leads, the others wait in their order, and everybody can see it`() async throws {
        try await LeaderScene.with { scene in
            let first = try scene.near("first")
            let term = try await first.leads()
            #expect(term.isValid && term.number == 1 && term.validUntil != nil)
            #expect(try await scene.candidates().map(scene.path) == [term.znodePath])
            #expect(first.selector.isLeader)
            let second = try scene.far("second")
            await second.state { $0 == .waiting(position: 1) }
            let third = try scene.far("third")
            await third.state { $0 == .waiting(position: 2) }
            #expect(!second.selector.isLeader && second.selector.term == nil)
            let participants = try await third.selector.participants()
            #expect(participants.map(\.id) == ["first", "second", "third"])
            #expect(participants.map(\.isLeader) == [true, false, false])
            let seen = try await LeaderSelector.leader(client: scene.other, path: LeaderScene.path)
            #expect(seen == participants[0])
            #expect(seen?.session == scene.client.session?.id)

            try await first.stop()
            let next = try await second.leads()
            #expect(next.fencingToken > term.fencingToken)
            #expect(!term.isValid && term.validUntil == nil)
            try await second.stop()
            #expect(try await third.leads().fencingToken > next.fencingToken)
            try await third.stop()
            #expect(try await scene.candidates().isEmpty)
            #expect(try await LeaderSelector.leader(client: scene.other, path: LeaderScene.path) == nil)
        }
    }

    @Test func `the token is the write that took office, beside the election's path`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.near("one")
            let term = try await one.leads()
            let (data, stat) = try await scene.other.data(at: LeaderScene.epochPath)
            #expect(stat.mzxid.rawValue == term.fencingToken.rawValue)
            #expect(stat.ephemeralOwner == nil)
            let name = try #require(try await scene.candidates().first)
            let text = String(decoding: data, as: UTF8.self)
            #expect(text == "leader=one\ncandidate=\(name)\npriority=0\n")
            try await one.stop()
            let two = try scene.far("two")
            let next = try await two.leads()
            #expect(next.fencingToken > term.fencingToken)
            let (later, _) = try await scene.other.data(at: LeaderScene.epochPath)
            #expect(String(decoding: later, as: UTF8.self).contains("previous=one\n"))
            try await two.stop()
        }
    }

    @Test func `a closure that returns ends its term, and its participant stands again behind the others`()
        async throws
    {
        try await LeaderScene.with { scene in
            let (terms, goOn) = (Notes(), OneShot<Void>())
            let one = try scene.near("one") { term in
                if term.number == 1 { try await goOn.wait() } else { try await Contestant.hold(term) }
                terms.add("one")
            }
            try await one.leads()
            let two = try scene.far("two")
            await two.waits()
            goOn.set(())
            let second = try await two.leads()
            await one.waits()
            #expect(terms.all == ["one"])
            try await two.stop()
            let third = try await one.leads(term: 2)
            #expect(third.fencingToken > second.fencingToken)
            try await one.stop()
        }
    }

    @Test func `an empty id is refused, and so is what cannot be`() async throws {
        try await LeaderScene.with { scene in
            let error = #expect(throws: RecipeError.self) { try scene.near("") }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message?.hasPrefix("id is empty") == true)
            var configuration = LeaderConfiguration()
            configuration.maximumRetryDelay = .zero
            #expect(throws: RecipeError.self) { try scene.near("near", configuration) }
            #expect(throws: RecipeError.self) { try Contestant(client: scene.client, path: "/", id: "near") }
            #expect(throws: ZooKeeperError.self) { try Contestant(client: scene.client, path: "app", id: "near") }
            let one = try scene.near()
            try await one.leads()
            await #expect(throws: RecipeError.self) { try await one.selector.run() }
            try await one.stop()
        }
    }

    @Test func `who resigns stands again at the tail`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.near("one")
            let term = try await one.leads()
            let two = try scene.far("two")
            await two.waits()
            let error = await #expect(throws: RecipeError.self) { try await two.selector.resign() }
            #expect(error?.code == .notLeading)
            try await one.selector.resign()
            #expect(!term.isValid && !one.selector.isLeader)
            let next = try await two.leads()
            await one.waits()
            #expect(try await two.selector.participants().map(\.id) == ["two", "one"])
            // Within the closure, or by the term: at once.
            next.resign()
            try await one.leads(term: 2)
            try await one.stop()
            try await two.stop()
        }
    }

    @Test func `a participant that stops after its term finishes it, and one that waits leaves at once`() async throws {
        try await LeaderScene.with { scene in
            let goOn = OneShot<Void>()
            let one = try scene.near("one") { _ in try await goOn.wait() }
            let term = try await one.leads()
            let two = try scene.far("two")
            await two.waits()
            one.selector.stopAfterTerm()
            two.selector.stopAfterTerm()
            try await two.task.value
            #expect(two.selector.state == .stopped)
            #expect(term.isValid && one.selector.isLeader)
            goOn.set(())
            try await one.task.value
            #expect(one.selector.state == .stopped)
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `an operation runs in one term, and its participant leaves afterwards`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.near("one")
            let term = try await one.leads()
            let late = await #expect(throws: RecipeError.self) {
                try await withLeadership(
                    client: scene.other, path: LeaderScene.path, id: "late", timeout: .milliseconds(300)
                ) { _ in Issue.record("two participants lead at the same time") }
            }
            #expect(late?.code == .timedOut && late?.recipe == .election)
            #expect(try await scene.candidates().count == 1)
            let next = Task {
                try await withLeadership(client: scene.other, path: LeaderScene.path, id: "two") { term in
                    #expect(term.isValid)
                    return term.fencingToken
                }
            }
            try await scene.candidates { $0.count == 2 }
            try await one.stop()
            #expect(try await next.value > term.fencingToken)
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `an operation whose term is lost fails, and so does one that is cancelled`() async throws {
        try await LeaderScene.with { scene in
            for isLost in [true, false] {
                let started = OneShot<Void>()
                let task = Task {
                    try await withLeadership(client: scene.client, path: LeaderScene.path, id: "one") { _ in
                        let isFirst = started.set(())
                        #expect(isFirst)
                        try await OneShot<Void>().wait()
                    }
                }
                try await started.wait()
                if isLost { try await scene.other.delete(scene.path(scene.candidates()[0])) } else { task.cancel() }
                do {
                    try await task.value
                    Issue.record("the operation was not cancelled")
                } catch let error as RecipeError {
                    #expect(isLost && error.code == .lost && error.lossReason == .znodeDeleted)
                } catch {
                    #expect(!isLost && error is CancellationError)
                }
                try await scene.candidates(where: \.isEmpty)
            }
        }
    }

    @Test func `a write that is guarded by a term happens while it lasts, and not after it`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.near("one")
            let term = try await one.leads()
            let grant: any Grant = term
            let results = try await grant.transaction([.create("/work"), .setData([1], at: "/work")])
            #expect(results.count == 2 && results[1].stat?.dataVersion == 1)
            let failed = await #expect(throws: ZooKeeperError.self) {
                try await term.transaction([.setData([2], at: "/work"), .create("/work")])
            }
            #expect(failed?.code == .nodeExists && failed?.failedOperation == 1)
            try await one.stop()
            let over = await #expect(throws: RecipeError.self) {
                try await term.transaction([.setData([3], at: "/work")])
            }
            #expect(over?.code == .notLeading)
            #expect(try await scene.other.data(at: "/work").data == [1])
        }
    }

    @Test func `children of other names take no part`() async throws {
        try await LeaderScene.with { scene in
            try await scene.other.create("\(LeaderScene.path)/0-config", parents: true)
            let one = try scene.near("one")
            try await one.leads()
            #expect(try await one.selector.participants().map(\.id) == ["one"])
            try await one.stop()
        }
    }

    @Test(arguments: [false, true])
    func `a graceful shutdown ends the term, at once or when it is done`(finishesTerm: Bool) async throws {
        try await LeaderScene.with { scene in
            let goOn = OneShot<Void>()
            var configuration = LeaderConfiguration()
            configuration.onGracefulShutdown = finishesTerm ? .finishTerm : .cancelTerm
            let notes = Notes()
            let selector = try LeaderSelector(
                client: scene.client, path: LeaderScene.path, id: "one", configuration: configuration
            ) { _ in
                do {
                    try await goOn.wait()
                    notes.add("done")
                } catch {
                    notes.add("cancelled")
                }
            }
            let group = ServiceGroup(services: [selector], logger: Logger(label: "test"))
            let running = Task { try await group.run() }
            for await state in selector.states where state.isLeading { break }
            let two = try scene.far("two")
            await two.waits()
            await group.triggerGracefulShutdown()
            if finishesTerm {
                #expect(selector.isLeader)
                goOn.set(())
            }
            try await running.value
            #expect(notes.all == [finishesTerm ? "done" : "cancelled"])
            #expect(selector.state == .stopped)
            try await two.leads()
            #expect(try await scene.candidates().count == 1)
            try await two.stop()
        }
    }
}
