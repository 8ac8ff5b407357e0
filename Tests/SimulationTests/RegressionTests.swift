import Simulations
import Testing
import ZooKeeperSimulator

/// Seeds that showed bugs of this package, which have been mended since.
///
/// Each is the first seed that finds the bug when it is planted again: `Tests/Mutants` has a patch of the same name.
@Suite struct RegressionTests {
    struct Finding: Sendable, CustomTestStringConvertible {
        var bug: String
        var scenario: any Scenario.Type
        var seed: UInt64
        var testDescription: String { "\(bug), \(scenario.name) \(seed)" }
    }

    private static let findings = [
        Finding(bug: "barrier-awaits-the-next-round", scenario: BarrierScenario.self, seed: 1),
        Finding(bug: "barrier-looks-once", scenario: BarrierScenario.self, seed: 27),
        Finding(bug: "cache-wakes-itself", scenario: CacheScenario.self, seed: 1),
        Finding(bug: "children-forget-what-is-newer", scenario: ChildrenScenario.self, seed: 9005),
        Finding(bug: "children-forget-what-is-unread", scenario: ChildrenScenario.self, seed: 385),
        Finding(bug: "first-gone-means-both-gone", scenario: ExclusiveScenario.self, seed: 2006),
        Finding(bug: "leader-skipped-to-the-next", scenario: LeaderScenario.self, seed: 18),
        Finding(bug: "proof-without-echo", scenario: LockScenario.self, seed: 714),
        Finding(bug: "run-ended-twice", scenario: ScheduleScenario.self, seed: 963),
        Finding(bug: "session-closed-under-its-holders", scenario: LockScenario.self, seed: 28),
        Finding(bug: "signal-only-with-its-write-znode", scenario: ExclusiveScenario.self, seed: 3),
        Finding(bug: "structure-created-once", scenario: ExclusiveScenario.self, seed: 2681),
    ]

    @Test(arguments: findings)
    func `what the simulator has found stays mended`(finding: Finding) async throws {
        let schedule = try await onSimulationThread {
            Schedule.run(finding.scenario, seed: finding.seed, keepsTrace: true)
        }
        if !schedule.failures.isEmpty { Issue.record("\(schedule.report)") }
    }
}
