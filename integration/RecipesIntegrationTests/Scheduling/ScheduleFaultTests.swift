import Foundation
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// What becomes of a run when something fails in the middle of it.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct ScheduleFaultTests {
    /// Goes on until it is cancelled, in the first attempt of a period; later ones return at once.
    private static func stuckOnce(_ notes: Notes) -> @Sendable (ScheduledRun) async throws -> Void {
        { run in
            notes.add("begins \(run.attempt) \(run.lastCheckpoint ?? "-")")
            guard run.attempt == 1 else { return }
            try await run.checkpoint("half")
            notes.add("checkpoint")
            do { try await OneShot<Void>().wait() } catch {
                notes.add("cancelled, \(run.isValid ? "valid" : "invalid")")
                throw error
            }
        }
    }

    private func configuration(_ takeover: TakeoverPolicy) -> ScheduledTask.Configuration {
        var configuration = ScheduledTask.Configuration()
        configuration.takeover = takeover
        return configuration
    }

    @Test(arguments: [TakeoverPolicy.rerun, .resume, .skip, .askOperator])
    func `a run whose session expires is taken over as the policy says`(_ policy: TakeoverPolicy) async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let first = try scene.near(.never, .atLeastOnce, configuration(policy), body: Self.stuckOnce(notes))
            await first.leads()
            let second = try scene.far(.never, .atLeastOnce, configuration(policy), body: Self.stuckOnce(notes))
            await second.standsBy()
            try await scene.control().runNow()
            await notes.count(2)
            try await scene.server.expireSession(of: scene.client)
            switch policy {
            case .rerun, .resume:
                let run = try await scene.run { $0.state == .completed }
                #expect(
                    run.participantID == "far" && run.attempt == 2
                        && run.previousAttempts.map(\.participantID) == ["near"])
                #expect(run.previousAttempts[0].reason == "near started the run and did not complete it")
                #expect(notes.all.contains("begins 2 \(policy == .resume ? "half" : "-")"))
                #expect(try #require(run.token) > #require(run.previousAttempts[0].token))
            case .skip:
                let run = try await scene.run { $0.state == .abandoned }
                #expect(run.participantID == "near" && run.message == "near started the run and did not complete it")
            case .askOperator:
                let run = try await scene.run { $0.state == .awaitingOperator }
                await second.state { $0 == .awaitingOperator(period: run.period) }
                try await scene.control().decide(run.period, .resume)
                try await scene.run { $0.state == .completed && $0.attempt == 2 }
                #expect(notes.all.contains("begins 2 half"))
            }
            await notes.count(policy == .skip ? 3 : 4)
            #expect(notes.all.contains("cancelled, invalid"))
            try await first.stop()
            try await second.stop()
        }
    }

    @Test func `a candidate deleted by hand ends the run before the next attempt begins`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let node = try scene.near(.never, body: Self.stuckOnce(notes))
            await node.leads()
            try await scene.control().runNow()
            await notes.count(2)
            try await scene.deleteLeader()
            let run = try await scene.run { $0.state == .completed }
            #expect(run.attempt == 2)
            #expect(notes.all == ["begins 1 -", "checkpoint", "cancelled, invalid", "begins 2 -"])
            try await node.stop()
        }
    }

    @Test func `a node that is stopped says that its run was interrupted`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let first = try scene.near(.never, .atMostOnce, body: Self.stuckOnce(notes))
            await first.leads()
            try await scene.control().runNow()
            await notes.count(2)
            try await first.stop()
            let run = try await scene.run { !$0.state.isOpen || $0.state == .interrupted }
            #expect(run.state == .interrupted)
            #expect(run.message == "near was stopped, or lost the leadership")
            let second = try scene.far(.never, .atMostOnce, body: Self.stuckOnce(notes))
            let left = try await scene.run { $0.state == .abandoned }
            #expect(left.attempt == 1 && left.message == run.message)
            try await second.stop()
            #expect(notes.all == ["begins 1 -", "checkpoint", "cancelled, valid"])
        }
    }

    @Test func `a lost connection inside the deadline leaves the run alone`() async throws {
        try await ScheduleScene.with(sessionTimeout: .seconds(15)) { scene in
            let (begun, end) = (OneShot<Void>(), OneShot<Void>())
            let node = try scene.near(.never) { run in
                begun.set(())
                try await end.wait()
            }
            await node.leads()
            try await scene.control().runNow()
            try await begun.wait()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            // It ends without a connection: the record waits for the next one.
            end.set(())
            await scene.proxy.accept()
            let run = try await scene.run { $0.state == .completed }
            #expect(run.attempt == 1 && run.participantID == "near")
            try await node.stop()
        }
    }

    @Test func `a silent network ends the run at its deadline, and it is done again elsewhere`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let first = try scene.near(.never, body: Self.stuckOnce(notes))
            await first.leads()
            let second = try scene.far(.never, body: Self.stuckOnce(notes))
            await second.standsBy()
            try await scene.control().runNow()
            await notes.count(2)
            await scene.proxy.hold(.both)
            let run = try await scene.run { $0.state == .completed }
            #expect(run.participantID == "far" && run.attempt == 2)
            await notes.count(4)
            #expect(notes.all.contains("cancelled, invalid"))
            await scene.proxy.release(.both)
            try await first.stop()
            try await second.stop()
        }
    }

    @Test func `a server that restarts changes nothing about a run`() async throws {
        try await ScheduleScene.with(sessionTimeout: .seconds(20)) { scene in
            let (begun, end) = (OneShot<Void>(), OneShot<Void>())
            let node = try scene.near(.never) { _ in
                begun.set(())
                try await end.wait()
            }
            await node.leads()
            try await scene.control().runNow()
            try await begun.wait()
            try await scene.server.restart()
            end.set(())
            let run = try await scene.run { $0.state == .completed }
            #expect(run.attempt == 1)
            try await node.stop()
        }
    }

    @Test func `what an old leader writes after its place was taken is refused`() async throws {
        try await ScheduleScene.with { scene in
            let kept = OneShot<ScheduledRun>()
            let ended = OneShot<String>()
            let first = try scene.near(.never) { run in
                guard run.attempt == 1 else { return }
                kept.set(run)
                try? await OneShot<Void>().wait()
                // Does not heed its cancellation: it goes on when the next node has done the run.
                let completed = Task { try await scene.run { $0.state == .completed } }
                _ = try await completed.value
                do { try await Task { try await run.checkpoint("late") }.value } catch { ended.set("\(error)") }
            }
            await first.leads()
            let second = try scene.far(.never) { _ in }
            await second.standsBy()
            try await scene.control().runNow()
            let run = try await kept.wait()
            try await scene.server.expireSession(of: scene.client)
            let record = try await scene.run { $0.state == .completed }
            #expect(record.participantID == "far" && record.attempt == 2 && record.checkpoint == nil)
            _ = try await run.waitUntilLost()
            #expect(!run.isValid && run.validUntil == nil)
            _ = try await ended.wait()
            let after = try await scene.history().run(record.period)
            #expect(after == record)
            try await first.stop()
            try await second.stop()
        }
    }

    @Test func `a run in a window pauses the processors, and its record tells what that cost`() async throws {
        try await ScheduleScene.with { scene in
            let mode = try ExclusiveMode(client: scene.other, path: "/app/batch")
            let gates = ["p1", "p2"].map { mode.gate(id: $0) }
            let runners = gates.map { gate in Task { try await gate.run() } }
            for gate in gates { for await state in gate.states where state.isOpen { break } }
            var configuration = ScheduledTask.Configuration()
            configuration.exclusive = try ExclusiveMode(client: scene.client, path: "/app/batch")
            let notes = Notes()
            let node = try scene.near(.never, .atLeastOnce, configuration) { run in
                notes.add(gates.map { $0.state.isOpen ? "open" : "shut" }.joined(separator: " "))
                notes.add("\(run.fencingToken) \(run.window?.fencingToken.description ?? "")")
            }
            await node.leads()
            try await scene.control().runNow()
            let run = try await scene.run { $0.state == .completed && $0.window?.resumed != nil }
            let window = try #require(run.window)
            #expect(window.processors == 2 && window.evicted.isEmpty && ["p1", "p2"].contains(window.slowestProcessor))
            #expect(window.token == run.token && notes.all == ["shut shut", "\(window.token) \(window.token)"])
            #expect(try #require(window.resumed) >= window.drainDuration)
            let records = try await mode.recentWindows()
            #expect(records.map(\.reason) == ["settle \(run.period)"] && records.map(\.outcome) == [.completed])
            for gate in gates { for await state in gate.states where state.isOpen { break } }
            try await node.stop()
            for runner in runners { runner.cancel() }
        }
    }
}
