import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling

/// Ten years of a daily schedule, decided by the plan alone: five nodes, a crash in one run of five.
@Suite struct TenYearsTests {
    private struct Chance: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func `each local day is completed once, and each second attempt is explained`(seed: UInt64) throws {
        var chance = Chance(state: seed)
        let model = try PlanModel(at: "2015-12-31T20:00:00Z")
        let end = try Timestamp(scheduleText: "2025-12-31T20:00:00Z")
        var completions: [String: Int] = [:]
        var closed: [RunRecord] = []
        while model.now < end {
            if let run = model.step() {
                let crashes = Int.random(in: 0..<5, using: &chance) == 0
                let hasBegun = Bool.random(using: &chance)
                if !crashes || hasBegun { model.begin() }
                model.now += .milliseconds(Int.random(in: 1000...3_600_000, using: &chance))
                if crashes {
                    // The session's end, and the next leader.
                    model.takeover(by: "n\(Int.random(in: 1...5, using: &chance))")
                    model.now += .seconds(30)
                } else {
                    model.end(.completed)
                    completions[run.period, default: 0] += 1
                    closed.append(contentsOf: model.prune(keep: 20))
                }
            } else if case .wait(let until) = model.decision {
                model.now = try #require(until)
            }
        }
        let days = try model.schedule.periods(
            after: Timestamp(scheduleText: "2015-12-31T20:00:00Z"), through: end - .seconds(1))
        #expect(days.count == 3653)
        #expect(completions.count == days.count && completions.values.allSatisfy { $0 == 1 })
        closed += model.records.values
        #expect(Set(closed.map(\.period)) == Set(days.map(\.id)) && closed.count == days.count)
        #expect(closed.allSatisfy { $0.state == .completed })
        let repeated = closed.filter { $0.attempt > 1 }
        #expect(repeated.count > 500)
        let explained = repeated.filter { run in
            run.previousAttempts.count == run.attempt - 1 && run.previousAttempts.allSatisfy { !$0.reason.isEmpty }
        }
        #expect(explained.count == repeated.count)
        #expect(closed.filter { $0.note != nil }.count == 10)
    }
}
