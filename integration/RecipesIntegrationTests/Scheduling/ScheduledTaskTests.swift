import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// What a scheduled task does when nothing fails.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ScheduledTaskTests {
    private struct Broken: Error, CustomStringConvertible {
        var description: String { "out of stamps" }
    }

    @Test func `each period runs once, on the node that leads, and its record tells all`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let first = try scene.near(.everySecond) { notes.add("near \($0.period.id) \($0.fencingToken)") }
            await first.leads()
            let second = try scene.far(.everySecond) { notes.add("far \($0.period.id) \($0.fencingToken)") }
            await second.standsBy()
            let runs = try await scene.runs { $0.count { $0.state == .completed } >= 3 }.filter {
                $0.state == .completed
            }
            #expect(Set(notes.all).count == notes.all.count)
            for run in runs {
                #expect(
                    run.participantID == "near" && run.attempt == 1 && run.kind == .scheduled
                        && run.previousAttempts.isEmpty)
                let times = [run.start] + [run.claimedAt, run.startedAt, run.endedAt].compactMap(\.self)
                #expect(times.count == 4 && times == times.sorted())
                #expect(notes.all.contains("near \(run.period) \(run.token?.description ?? "")"))
            }
            let tokens = runs.compactMap(\.token)
            #expect(tokens == tokens.sorted() && Set(tokens).count == runs.count)
            #expect(try await scene.history().nodes().map(\.id) == ["near", "far"])
            try await first.stop()
            try await scene.run { $0.participantID == "far" && $0.state == .completed }
            try await second.stop()
            #expect(first.task.state == .stopped)
            #expect(Set(notes.all.map { $0.split(separator: " ")[1] }).count == notes.all.count)
        }
    }

    @Test func `records are pruned, and survive the server`() async throws {
        try await ScheduleScene.with { scene in
            var configuration = ScheduledTask.Configuration()
            configuration.maximumRecords = 2
            let node = try scene.near(.everySecond, .atLeastOnce, configuration) { _ in }
            let first = try await scene.run { $0.state == .completed }
            try await scene.runs { runs in !runs.contains { $0.period == first.period } && runs.count <= 3 }
            try await node.stop()
            let before = try await scene.history().runs()
            #expect((2...3).contains(before.count))
            try await scene.server.restart()
            #expect(try await scene.history().runs() == before)
        }
    }

    @Test func `an operator pauses with a note, and resumes`() async throws {
        try await ScheduleScene.with { scene in
            let node = try scene.near(.everySecond) { _ in }
            await node.leads()
            try await scene.control().pause(reason: "migration")
            await node.state {
                if case .paused(let pause) = $0 {
                    pause.reason == "migration" && pause.requestedBy == "ada"
                } else {
                    false
                }
            }
            let skipped = try await scene.run { $0.message == "paused by ada: migration" }
            #expect(skipped.state == .skipped)
            try await scene.control().resume()
            try await scene.run { $0.state == .completed && $0.start > skipped.start }
            try await node.stop()
        }
    }

    @Test func `an operator has the task run now, once`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let node = try scene.near(.never) { notes.add($0.period.id) }
            await node.leads()
            await #expect(throws: RecipeError.self) { try await scene.control().decide("2026-01-01", .skip) }
            try await scene.control().runNow()
            let run = try await scene.run { $0.state == .completed }
            #expect(run.kind == .requested && run.note == "requested by ada" && notes.all == [run.period])
            #expect(try await scene.control().commands() == OperatorCommands())
            try await node.stop()
        }
    }

    @Test func `an operator leaves the next period out`() async throws {
        try await ScheduleScene.with { scene in
            let node = try scene.near(.never) { _ in }
            await node.leads()
            try await node.stop()
            try await scene.control().skipNext()
            let next = try scene.near(.everySecond) { _ in }
            let skipped = try await scene.run { $0.message == "ada asked to leave it out" }
            #expect(skipped.state == .skipped)
            let run = try await scene.run { $0.state == .completed }
            #expect(run.start > skipped.start)
            // Before it there is at most what nobody was there for, since the task was made.
            let before = try await scene.history().runs().filter { $0.start < skipped.start }
            #expect(before.allSatisfy { $0.state == .skipped && $0.message?.hasPrefix("missed") == true })
            try await next.stop()
        }
    }

    @Test func `a range is filled back, the oldest first`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let daily = try Schedule.daily(at: TimeOfDay(hour: 2, minute: 30), in: "America/New_York")
            let node = try scene.near(daily) { notes.add($0.period.id) }
            await node.leads()
            try await scene.control().backfill(
                from: Timestamp(scheduleText: "2024-03-09T00:00:00Z"),
                through: Timestamp(scheduleText: "2024-03-11T12:00:00Z"))
            await notes.count(3)
            #expect(notes.all == ["2024-03-09", "2024-03-10", "2024-03-11"])
            let runs = try await scene.runs { $0.count { $0.state == .completed } == 3 }
            #expect(runs[1].note?.contains("there is no 02:30 on 2024-03-10") == true)
            #expect(runs.allSatisfy { $0.kind == .backfill })
            try await node.stop()
        }
    }

    @Test func `a run that fails pauses the task, when it is to`() async throws {
        try await ScheduleScene.with { scene in
            var configuration = ScheduledTask.Configuration()
            configuration.pauseOnFailure = true
            let node = try scene.near(.everySecond, .atLeastOnce, configuration) { _ in throw Broken() }
            let run = try await scene.run { $0.state == .failed }
            #expect(run.message == "out of stamps")
            let pause = try await #require(scene.control().commands().pause)
            #expect(pause.reason.hasSuffix("failed: out of stamps") && pause.requestedBy == "near")
            #expect(try await scene.history().runs().count { $0.state == .failed } == 1)
            try await node.stop()
        }
    }

    @Test func `a run that is longer than its period has the next ones left out`() async throws {
        try await ScheduleScene.with { scene in
            let end = OneShot<Void>()
            let node = try scene.near(.everySecond) { _ in try await end.wait() }
            let run = try await scene.run { $0.state == .started }
            let skipped = try await scene.run { $0.message == "the run of \(run.period) was still on" }
            #expect(skipped.state == .skipped && skipped.start > run.start)
            end.set(())
            try await scene.run { $0.period == run.period && $0.state == .completed }
            try await node.stop()
        }
    }

    @Test func `a run is cancelled and awaited when the next period begins`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            var configuration = ScheduledTask.Configuration()
            configuration.overlap = .cancelOther
            let node = try scene.near(.everySecond, .atLeastOnce, configuration) { run in
                notes.add("begins")
                try? await OneShot<Void>().wait()
                notes.add("ends")
                throw CancellationError()
            }
            let run = try await scene.run { $0.state == .abandoned }
            #expect(run.message?.hasPrefix("cancelled: ") == true)
            await notes.count(4)
            try await node.stop()
            #expect(notes.all.prefix(4) == ["begins", "ends", "begins", "ends"])
        }
    }

    @Test func `a node whose clock is wrong does not take the schedule, and says so`() async throws {
        try await ScheduleScene.with { scene in
            let wrong = try scene.near(.everySecond, ahead: .seconds(-3600)) { _ in }
            let state = await wrong.state { if case .clockSkew = $0 { true } else { false } }
            guard case .clockSkew(let skew) = state else { return }
            #expect(skew.ahead < .seconds(-3500) && skew.ahead > .seconds(-3700))
            let right = try scene.far(.everySecond) { _ in }
            try await scene.run { $0.state == .completed && $0.participantID == "far" }
            #expect(try await scene.history().nodes().map(\.id) == ["far"])
            try await right.stop()
            try await wrong.stop()
        }
    }

    @Test func `a service starts with the leadership, and is awaited before the next node starts its own`() async throws
    {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            @Sendable func serve(_ name: String) async throws {
                notes.add("\(name) begins")
                try? await OneShot<Void>().wait()
                notes.add("\(name) ends")
                throw CancellationError()
            }
            let first = try scene.near(.onLeadership) { _ in try await serve("near") }
            await notes.count(1)
            let second = try scene.far(.onLeadership) { _ in try await serve("far") }
            await second.standsBy()
            try await first.stop()
            await notes.count(3)
            #expect(notes.all == ["near begins", "near ends", "far begins"])
            let runs = try await scene.history().runs()
            #expect(runs.map(\.participantID) == ["near", "far"] && runs.map(\.state) == [.abandoned, .started])
            try await second.stop()
        }
    }

    @Test func `policies that contradict each other are refused when the task is made`() async throws {
        try await ScheduleScene.with { scene in
            var configuration = ScheduledTask.Configuration()
            configuration.takeover = .resume
            let error = #expect(throws: RecipeError.self) {
                _ = try scene.near(.never, .atMostOnce, configuration) { _ in }
            }
            #expect(error?.code == .invalidArgument)
            for (path, node) in [("/x", ""), ("/", "near")] {
                let error = #expect(throws: RecipeError.self) {
                    _ = try ScheduledTask(
                        client: scene.client, path: path, id: node, name: "x", schedule: .never, delivery: .atMostOnce
                    ) { _ in }
                }
                #expect(error?.code == .invalidArgument)
            }
        }
    }
}
