import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling

@Suite struct SchedulePlanTests {
    private let day = "2026-05-04"

    /// The daily run of 4 May, claimed, and begun when asked.
    private func running(begun: Bool = true) throws -> PlanModel {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        try model.move(to: "2026-05-04T06:30:00Z")
        model.step()
        if begun { model.begin() }
        return model
    }

    @Test func `a period is claimed when it begins, and not before`() throws {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        let start = try Timestamp(scheduleText: "2026-05-04T06:30:00Z")
        #expect(model.decision == .wait(until: start))
        try model.move(to: "2026-05-04T06:29:59Z")
        #expect(model.decision == .wait(until: start))
        try model.move(to: "2026-05-04T06:30:00Z")
        let claim = try #require(model.step())
        #expect(claim.period == day && claim.state == .claimed && claim.attempt == 1 && claim.participantID == "n1")
        #expect(claim.claimedAt == start && claim.message == nil)
        model.end(.completed)
        #expect(model.decision == .wait(until: start + .seconds(86_400)))
    }

    @Test func `what struck before the task was first run is none of its periods`() throws {
        let model = try PlanModel(at: "2026-05-04T06:31:00Z")
        guard case .wait = model.decision else { return #expect(Bool(false), "\(model.decision)") }
    }

    @Test func `a claim that was not begun is begun by the next leader, whatever the policies`() throws {
        for (delivery, policy) in [
            (TaskDelivery.atMostOnce, TakeoverPolicy.skip), (.atMostOnce, .askOperator), (.atLeastOnce, .askOperator),
        ] {
            let model = try running(begun: false)
            model.delivery = delivery
            model.configuration.takeover = policy
            model.takeover(by: "n2")
            let claim = try #require(model.step())
            #expect(claim.attempt == 2 && claim.participantID == "n2" && claim.term.rawValue == 2)
            #expect(claim.previousAttempts.map(\.participantID) == ["n1"])
            #expect(claim.previousAttempts[0].reason == "n1 claimed the run and did not start it")
        }
    }

    @Test func `a run whose runner died is begun anew, or resumed with its checkpoint`() throws {
        for policy in [TakeoverPolicy.rerun, .resume] {
            let model = try running()
            model.records[day]?.checkpoint = "row 17"
            model.configuration.takeover = policy
            model.takeover(by: "n2")
            let claim = try #require(model.step())
            #expect(claim.attempt == 2)
            #expect(claim.checkpoint == (policy == .resume ? "row 17" : nil))
            #expect(claim.startedAt == nil)
            #expect(claim.previousAttempts[0].reason == "n1 started the run and did not complete it")
        }
    }

    @Test func `at most once leaves a run alone whose runner died, and says why`() throws {
        let model = try running()
        model.delivery = .atMostOnce
        model.takeover(by: "n2")
        model.settle()
        let record = try #require(model.records[day])
        #expect(record.state == .abandoned && record.attempt == 1)
        #expect(record.message == "n1 started the run and did not complete it")
    }

    @Test func `an operator who is asked decides, and the schedule stands still until then`() throws {
        for answer in [OperatorCommands.Decision.rerun, .resume, .skip] {
            let model = try running()
            model.records[day]?.checkpoint = "row 17"
            model.delivery = .atMostOnce
            model.configuration.takeover = .askOperator
            model.takeover(by: "n2")
            model.settle()
            #expect(model.states == [day: .awaitingOperator])
            try model.move(to: "2026-05-05T06:31:00Z")
            model.settle()
            #expect(model.states == [day: .awaitingOperator])
            model.wishes.decisions[day] = answer
            // Older versions do not record who decided.
            if answer == .rerun { model.wishes.decisionOperators[day] = "ada: repaired" }
            let claim = model.step()
            #expect(model.wishes.decisions.isEmpty && model.wishes.decisionOperators.isEmpty)
            if answer == .skip {
                #expect(model.records[day]?.state == .abandoned)
                #expect(model.step()?.period == "2026-05-05")
            } else {
                #expect(claim?.attempt == 2 && claim?.checkpoint == (answer == .resume ? "row 17" : nil))
                let decided = "an operator decided to " + (answer == .rerun ? "rerun (ada: repaired)" : "resume")
                #expect(claim?.previousAttempts[0].reason.hasSuffix(decided) == true)
            }
        }
    }

    @Test func `policies that contradict each other are refused with what would be right`() throws {
        var configuration = ScheduledTask.Configuration()
        configuration.takeover = .rerun
        let error = try #require(throws: RecipeError.self) {
            try configuration.validate(.atMostOnce, path: "/t")
        }
        #expect(error.message?.contains("use .skip or .askOperator, or .atLeastOnce") == true)
        configuration.takeover = .resume
        #expect(throws: RecipeError.self) { try configuration.validate(.atMostOnce, path: "/t") }
        try configuration.validate(.atLeastOnce, path: "/t")
        configuration.missed = .all(within: .seconds(1))
        #expect(throws: RecipeError.self) { try configuration.validate(.atLeastOnce, path: "/t") }
    }

    // MARK: Missed periods

    /// Nobody was up from 4 May until the noon of 8 May, and a day is late after an hour.
    private func missed(_ policy: MissedPolicy) throws -> PlanModel {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        model.configuration.missedAfter = .seconds(3600)
        model.configuration.missed = policy
        try model.move(to: "2026-05-08T16:00:00Z")
        return model
    }

    @Test func `missed periods are left out, and a record says so`() throws {
        let model = try missed(.none)
        model.settle()
        #expect(model.states == ["2026-05-07": .skipped, "2026-05-08": .skipped])
        #expect(model.records["2026-05-07"]?.message == "missed, as were those from 2026-05-04 on")
        #expect(model.records["2026-05-08"]?.message == "missed")
    }

    @Test func `the latest missed period is run`() throws {
        let model = try missed(.latest)
        model.step()
        let claim = try #require(model.step())
        #expect(claim.period == "2026-05-08" && claim.message == "missed, and caught up")
        #expect(model.states == ["2026-05-07": .skipped, "2026-05-08": .claimed])
    }

    @Test func `all missed periods within a time are run, the oldest first`() throws {
        let model = try missed(.all(within: .seconds(3 * 86_400)))
        var runs: [String] = []
        for _ in 0..<10 {
            if let claim = model.step() { runs.append(claim.period) }
            model.end(.completed)
        }
        #expect(runs == ["2026-05-06", "2026-05-07", "2026-05-08"])
        #expect(model.records["2026-05-05"]?.state == .skipped)
        #expect(model.records["2026-05-05"]?.message == "missed, as were those from 2026-05-04 on")
    }

    @Test func `a period that a new leader finds late by little is run`() throws {
        let model = try missed(.none)
        try model.move(to: "2026-05-08T07:29:00Z")
        model.step()
        #expect(model.step()?.period == "2026-05-08")
    }

    // MARK: Overlap

    /// A run of every ten minutes that goes on for long, with three strikes behind it.
    private func overlapping(_ policy: OverlapPolicy) throws -> PlanModel {
        let model = try PlanModel(Schedule.every(.seconds(600)), at: "2026-05-04T09:55:00Z")
        model.configuration.overlap = policy
        try model.move(to: "2026-05-04T10:00:00Z")
        model.step()
        model.begin()
        return model
    }

    @Test func `periods that begin while a run is on are left out`() throws {
        let model = try overlapping(.skip)
        for time in ["10:10", "10:20"] {
            try model.move(to: "2026-05-04T\(time):00Z")
            model.settle()
            let record = model.records["2026-05-04T\(time):00Z"]
            #expect(record?.state == .skipped)
            #expect(record?.message == "the run of 2026-05-04T10:00:00Z was still on")
        }
        model.end(.completed)
        #expect(model.step() == nil)
    }

    @Test(arguments: [OverlapPolicy.skip, .queueOne])
    func `a leader that stood still for several periods during a run has a record of them all`(policy: OverlapPolicy)
        throws
    {
        let model = try overlapping(policy)
        try model.move(to: "2026-05-04T10:45:00Z")
        model.settle()
        let newest = policy == .skip ? "2026-05-04T10:40:00Z" : "2026-05-04T10:30:00Z"
        let explanation = try #require(model.records[newest]?.message)
        #expect(explanation.hasPrefix("the run of 2026-05-04T10:00:00Z was still on"))
        #expect(explanation.hasSuffix("as were those from 2026-05-04T10:10:00Z on"))
    }

    @Test func `the latest period that began while a run was on is queued`() throws {
        let model = try overlapping(.queueOne)
        for time in ["10:10", "10:20"] {
            try model.move(to: "2026-05-04T\(time):00Z")
            model.queued.insert("2026-05-04T\(time):00Z")
            model.settle()
        }
        #expect(model.records["2026-05-04T10:10:00Z"]?.state == .skipped)
        // The run ends so late that what is queued would count as missed.
        try model.move(to: "2026-05-04T10:29:59Z")
        model.configuration.missedAfter = .seconds(60)
        model.configuration.missed = .none
        model.end(.completed)
        #expect(model.step()?.period == "2026-05-04T10:20:00Z")
    }

    @Test func `a run is cancelled, once, when the next period begins`() throws {
        let model = try overlapping(.cancelOther)
        try model.move(to: "2026-05-04T10:10:00Z")
        #expect(model.decision == .cancelRun(because: "2026-05-04T10:10:00Z began"))
        model.step()
        guard case .wait = model.decision else { return #expect(Bool(false), "\(model.decision)") }
        model.end(.abandoned)
        #expect(model.step()?.period == "2026-05-04T10:10:00Z")
    }

    @Test func `catching up is no overlap`() throws {
        let model = try overlapping(.skip)
        model.end(.completed)
        model.configuration.missed = .all(within: .seconds(7200))
        try model.move(to: "2026-05-04T10:49:00Z")
        #expect(model.step()?.period == "2026-05-04T10:10:00Z")
        try model.move(to: "2026-05-04T10:50:00Z")
        model.settle()
        model.end(.completed)
        var runs: [String] = []
        for _ in 0..<10 {
            if let claim = model.step() { runs.append(String(claim.period.suffix(9))) }
            model.end(.completed)
        }
        #expect(runs == ["10:20:00Z", "10:30:00Z", "10:40:00Z", "10:50:00Z"])
    }

    // MARK: Operators

    @Test func `nothing begins during a pause, and periods are left out with its note`() throws {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        model.wishes.pause = OperatorCommands.Pause(reason: "migration", requestedBy: "ada")
        try model.move(to: "2026-05-04T06:30:00Z")
        model.settle()
        #expect(model.records[day]?.state == .skipped)
        #expect(model.records[day]?.message == "paused by ada: migration")
        try model.move(to: "2026-05-07T06:30:00Z")
        model.settle()
        #expect(
            model.records["2026-05-07"]?.message == "paused by ada: migration, as were those from 2026-05-05 on")
        model.wishes.pause = nil
        #expect(model.step() == nil)
    }

    @Test func `a pause holds a takeover back`() throws {
        let model = try running()
        model.takeover(by: "n2")
        model.wishes.pause = OperatorCommands.Pause(reason: "look at it first", requestedBy: "ada")
        model.settle()
        #expect(model.states == [day: .started])
        model.wishes.pause = nil
        #expect(model.step()?.attempt == 2)
    }

    @Test func `a run that is asked for happens once, and is no period`() throws {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        model.wishes.runRequests = ["ada", "bob"]
        let first = try #require(model.step())
        #expect(first.kind == .requested && first.period == "2026-05-03T12:00:00.000Z-now")
        #expect(model.wishes.runRequests == ["bob"])
        // The period that begins meanwhile is not lost.
        try model.move(to: "2026-05-04T06:30:30Z")
        model.settle()
        model.end(.completed)
        let second = try #require(model.step())
        #expect(second.kind == .requested && model.wishes.runRequests.isEmpty)
        model.end(.completed)
        #expect(model.step()?.period == day)
    }

    @Test func `the next period is left out once`() throws {
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        model.wishes.skipRequests = ["ada"]
        try model.move(to: "2026-05-04T06:30:00Z")
        model.settle()
        #expect(model.records[day]?.message == "ada asked to leave it out")
        #expect(model.wishes.skipRequests.isEmpty)
        try model.move(to: "2026-05-05T06:30:00Z")
        #expect(model.step()?.period == "2026-05-05")
    }

    @Test func `a range is filled back, each period that is not completed once, also by another leader`() throws {
        let model = try running()
        model.end(.completed)
        model.wishes.backfill = OperatorCommands.Backfill(
            from: try Timestamp(scheduleText: "2026-05-02T00:00:00Z"),
            through: try Timestamp(scheduleText: "2026-05-20T00:00:00Z"), requestedBy: "ada")
        try model.move(to: "2026-05-04T12:00:00Z")
        let first = try #require(model.step())
        #expect(first.period == "2026-05-02" && first.kind == .backfill)
        model.begin()
        model.takeover(by: "n2")
        let again = try #require(model.step())
        #expect(again.period == "2026-05-02" && again.attempt == 2)
        model.end(.failed)
        #expect(model.step()?.period == "2026-05-03")
        model.end(.completed)
        #expect(model.step() == nil)
        #expect(model.wishes.backfill == nil)
        try model.move(to: "2026-05-05T06:30:00Z")
        #expect(model.step()?.period == "2026-05-05")
    }

    // MARK: Clocks that change

    @Test func `times that fall on one instant are run once, also by a backfill`() throws {
        let schedule = try Schedule.cron("0 2,3 * * *", in: "America/New_York")
        let model = try PlanModel(schedule, at: "2026-03-08T06:30:00Z")
        try model.move(to: "2026-03-08T07:00:00Z")
        let run = try #require(model.step())
        #expect(run.period == "2026-03-08T02:00")
        model.end(.completed)
        #expect(model.step() == nil)
        try model.move(to: "2026-03-08T08:00:00Z")
        model.wishes.backfill = .init(from: model.since, through: model.now, requestedBy: "ada")
        model.settle()
        #expect(model.states == [run.period: .completed] && model.wishes.backfill == nil)
    }

    @Test func `a day whose time falls into a gap before midnight is run`() throws {
        let schedule = try Schedule.daily(at: TimeOfDay(hour: 23, minute: 30), in: "America/Nuuk")
        let model = try PlanModel(schedule, at: "2026-03-28T02:00:00Z")
        for (instant, day) in [("2026-03-29T01:00:00Z", "2026-03-28"), ("2026-03-30T00:30:00Z", "2026-03-29")] {
            #expect(model.decision == .wait(until: try Timestamp(scheduleText: instant)))
            try model.move(to: instant)
            #expect(model.step()?.period == day)
            model.end(.completed)
        }
    }

    // MARK: Bounds

    @Test func `durations without measure are refused, and those within bounds never overflow`() throws {
        for (name, path) in [
            ("missedAfter", \ScheduledTask.Configuration.missedAfter), ("maximumClockSkew", \.maximumClockSkew),
            ("clockInterval", \.clockInterval),
        ] {
            for value in [Duration.zero, .seconds(-1), .seconds(Int64.max), .seconds(36_525 * 86_400 + 1)] {
                var configuration = ScheduledTask.Configuration()
                configuration.missed = .all(within: .seconds(Int64.max))
                configuration[keyPath: path] = value
                let error = try #require(throws: RecipeError.self) {
                    try configuration.validate(.atLeastOnce, path: "/t")
                }
                #expect(error.message?.contains(name) == true)
            }
        }
        let model = try PlanModel(at: "2026-05-03T12:00:00Z")
        model.configuration.missed = .all(within: .seconds(Int64.max))
        model.configuration.missedAfter = .seconds(36_525 * 86_400)
        try model.move(to: "2026-05-04T06:31:00Z")
        #expect(model.step()?.period == day)
    }

    // MARK: Leadership

    @Test func `with leadership there is one run a term`() throws {
        let model = try PlanModel(.onLeadership, at: "2026-05-03T12:00:00Z")
        let first = try #require(model.step())
        #expect(first.kind == .term)
        model.begin()
        guard case .wait = model.decision else { return #expect(Bool(false), "\(model.decision)") }
        try model.move(to: "2026-05-03T13:00:00Z")
        model.takeover(by: "n2")
        model.step()
        #expect(model.records[first.period]?.state == .abandoned)
        #expect(model.step()?.participantID == "n2")
        model.end(.completed)
        #expect(model.step() == nil)
    }

    @Test func `a daily schedule whose time was changed has run once that day`() throws {
        let model = try running()
        model.end(.completed)
        let later = try PlanModel(
            Schedule.daily(at: TimeOfDay(hour: 4), in: "America/New_York"), at: "2026-05-04T08:00:00Z")
        later.since = model.since
        later.records = model.records
        #expect(later.step() == nil)
        try later.move(to: "2026-05-05T08:00:00Z")
        #expect(later.step()?.period == "2026-05-05")
    }
}
