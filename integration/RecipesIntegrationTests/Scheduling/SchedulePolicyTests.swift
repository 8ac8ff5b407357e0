import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// What becomes of periods that begin while a run is on, or while nobody is there.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct SchedulePolicyTests {
    // MARK: Overlap

    @Test func `the latest period that begins during a run is queued, and begins when the run has ended`() async throws
    {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let end = OneShot<Void>()
            var configuration = ScheduledTask.Configuration()
            configuration.overlap = .queueOne
            configuration.missed = .none
            let node = try scene.near(.everySecond, .atLeastOnce, configuration) { run in
                notes.add(run.period.id)
                try await end.wait()
                notes.add("\(run.period.id) ends")
            }
            await notes.count(1)
            let long = notes.all[0]
            // Two have begun since: the one before the last makes room.
            let skipped = try await scene.run { $0.state == .skipped && $0.period > long }
            let queued = try #require(try Schedule.everySecond.next(after: skipped.start))
            #expect(skipped.message == "the run of \(long) was still on, and \(queued.id) is queued")
            #expect(skipped.attempt == 0)
            end.set(())
            await notes.count(4)
            let next = notes.all[2]
            #expect(notes.all.prefix(4) == [long, "\(long) ends", next, "\(next) ends"] && next >= queued.id)
            let run = try await scene.run { $0.period == next && $0.state == .completed }
            #expect(run.attempt == 1 && run.message == nil)
            #expect(try await scene.history().run(long)?.state == .completed)
            let between = try await scene.history().runs().filter { long < $0.period && $0.period < next }
            #expect(between.allSatisfy { $0.state == .skipped })
            try await node.stop()
        }
    }

    @Test func `a period that begins cancels the run that an operator asked for, and awaits it`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            var configuration = ScheduledTask.Configuration()
            configuration.overlap = .cancelOther
            let node = try scene.near(.everySecond, .atLeastOnce, configuration) { run in
                notes.add(run.period.id)
                guard run.kind == .requested else { return }
                try? await OneShot<Void>().wait()
                notes.add("cancelled, \(run.isValid ? "valid" : "invalid")")
                throw CancellationError()
            }
            await node.leads()
            // A run that is requested just before a period begins may be cancelled before its body is called.
            var ended: [RunRecord] = []
            repeat {
                try await scene.control().runNow()
                let earlier = Set(ended.map(\.period))
                let run = try await scene.run {
                    $0.kind == .requested && !$0.state.isOpen && !earlier.contains($0.period)
                }
                ended.append(run)
            } while ended.last.map { !notes.all.contains($0.period) } ?? true
            let cancelled = try #require(ended.last)
            #expect(cancelled.state == .abandoned && cancelled.attempt == 1)
            let words = try #require(cancelled.message).split(separator: " ")
            try #require(words.count == 3 && words[0] == "cancelled:" && words[2] == "began")
            let run = try await scene.run { $0.start > cancelled.start && $0.state == .completed }
            #expect(run.period >= words[1] && run.attempt == 1 && run.kind == .scheduled)
            #expect(try #require(run.claimedAt) >= #require(cancelled.endedAt))
            let index = try #require(notes.all.firstIndex(of: cancelled.period))
            #expect(notes.all[index...].dropFirst().first == "cancelled, valid")
            #expect(notes.all[index...].dropFirst(2).first == run.period)
            try await node.stop()
        }
    }

    // MARK: Missed periods

    /// A schedule of which a period ended in order 4.5 hours ago, since when nobody was there.
    private struct Outage {
        let schedule: Schedule
        /// The periods that nobody was there for, which began 3.5, 2.5, 1.5 and half an hour ago.
        let missed: [Schedule.Period]

        init(_ scene: ScheduleScene) async throws {
            let now = Timestamp.now
            schedule = try .every(.seconds(3600), from: now - .seconds(1800))
            let last = try #require(schedule.latest(at: now - .seconds(4 * 3600)))
            missed = schedule.periods(after: last.start, through: now)
            try #require(missed.count == 4)
            let runs = "\(ScheduleScene.path)/runs"
            let since = (now - .seconds(86_400)).secondsText
            try await scene.other.create(runs, data: Array("since=\(since)\n".utf8), parents: true)
            let record = [
                "period=\(last.id)", "kind=scheduled", "state=completed", "start=\(last.start.secondsText)",
                "node=old", "term=1", "token=2", "attempt=1",
            ]
            try await scene.other.create(
                "\(runs)/\(last.id)", data: Array(record.map { $0 + "\n" }.joined().utf8))
        }
    }

    /// Lets a node come after an outage.
    ///
    /// - Parameter decided: How many of the missed periods have a record then.
    /// - Returns: Those records, and what was run, in order.
    private func records(
        _ missed: MissedPolicy, decided: Int, _ scene: ScheduleScene, _ outage: Outage
    ) async throws -> (records: [RunRecord], ran: [String]) {
        let notes = Notes()
        var configuration = ScheduledTask.Configuration()
        configuration.missed = missed
        let node = try scene.near(outage.schedule, .atLeastOnce, configuration) { notes.add($0.period.id) }
        let runs = try await scene.runs { runs in
            runs.count == decided + 1 && runs.allSatisfy { !$0.state.isOpen }
        }
        // Nothing else follows: an operator's wish is fulfilled before and after what is missed.
        try await scene.control().runNow()
        try await scene.run { $0.kind == .requested && $0.state == .completed }
        try await node.stop()
        // Nor does who leads next find anything to do.
        let next = try scene.far(outage.schedule, .atLeastOnce, configuration) { notes.add("again \($0.period.id)") }
        await next.leads()
        try await scene.control().runNow()
        let all = try await scene.runs { $0.count { $0.kind == .requested && $0.state == .completed } == 2 }
        try await next.stop()
        #expect(Array(all.prefix(runs.count)) == runs && all.count == runs.count + 2)
        let requested = Set(all.filter { $0.kind == .requested }.map(\.period))
        return (Array(runs.dropFirst()), notes.all.filter { !requested.contains($0) && !$0.hasPrefix("again") })
    }

    @Test func `missed periods are left out, and two records say so`() async throws {
        try await ScheduleScene.with { scene in
            let outage = try await Outage(scene)
            let (records, ran) = try await records(.none, decided: 2, scene, outage)
            #expect(ran.isEmpty && records.map(\.period) == outage.missed[2...].map(\.id))
            #expect(records.allSatisfy { $0.state == .skipped && $0.participantID == "near" })
            let first = outage.missed[0].id
            #expect(records.map(\.message) == ["missed, as were those from \(first) on", "missed"])
        }
    }

    @Test func `the latest missed period is run late, and a record speaks for those before it`() async throws {
        try await ScheduleScene.with { scene in
            let outage = try await Outage(scene)
            let (records, ran) = try await records(.latest, decided: 2, scene, outage)
            #expect(ran == [outage.missed[3].id] && records.map(\.period) == outage.missed[2...].map(\.id))
            #expect(records.map(\.state) == [.skipped, .completed])
            let first = outage.missed[0].id
            let why = ["missed, as were those from \(first) on", "missed, and caught up"]
            #expect(records.map(\.message) == why)
        }
    }

    @Test func `all missed periods within a time are run, the oldest first, and a record speaks for older ones`()
        async throws
    {
        try await ScheduleScene.with { scene in
            let outage = try await Outage(scene)
            let (records, ran) = try await records(.all(within: .seconds(3 * 3600)), decided: 4, scene, outage)
            #expect(ran == outage.missed[1...].map(\.id) && records.map(\.period) == outage.missed.map(\.id))
            #expect(records.map(\.state) == [.skipped, .completed, .completed, .completed])
            #expect(records[0].message == "missed")
            #expect(records.dropFirst().allSatisfy { $0.message == "missed, and caught up" && $0.attempt == 1 })
            let tokens = records.compactMap(\.token)
            #expect(tokens.count == 3 && tokens == tokens.sorted())
        }
    }
}
