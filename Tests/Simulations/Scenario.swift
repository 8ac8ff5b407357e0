import ZooKeeperSimulator

/// Something that processes do in a simulated world, and what must hold of it.
package protocol Scenario: Sendable {
    /// How it is called on the command line.
    static var name: String { get }
    init()
    /// Sets the world up, runs it to its end, and gives what was wrong, in words.
    func run(in world: ScenarioWorld) -> [String]
}

/// All scenarios, in the order in which they are run.
package let allScenarios: [any Scenario.Type] = [
    LockScenario.self, ExclusiveScenario.self, CacheScenario.self, LeaderScenario.self, MutexScenario.self,
    SemaphoreScenario.self,
    ChildrenScenario.self, GroupScenario.self, BarrierScenario.self, ScheduleScenario.self, PartitionScenario.self,
]

/// One run of a scenario: what came of a seed.
package struct Schedule: Sendable {
    package var scenario: String
    package var seed: UInt64
    /// What was wrong; empty when nothing was.
    package var failures: [String]
    package var steps: Int
    /// Stands for all that happened: equal only when every step was.
    package var fingerprint: UInt64
    /// The lines of the trace, when they were asked for.
    package var trace: [String]

    /// Runs a scenario on the present thread.
    package static func run(_ scenario: any Scenario.Type, seed: UInt64, keepsTrace: Bool = false) -> Schedule {
        let simulation = Simulation(seed: seed, keepsTrace: keepsTrace)
        let world = ScenarioWorld(simulation)
        var failures = scenario.init().run(in: world)
        failures += world.end()
        if let breakdown = simulation.breakdown { failures.append(breakdown) }
        simulation.end()
        return Schedule(
            scenario: scenario.name, seed: seed, failures: failures, steps: simulation.steps,
            fingerprint: simulation.trace.fingerprint, trace: simulation.trace.lines)
    }

    /// For people: what was wrong, how to see it again, and what happened.
    package var report: String {
        let head = """
            \(scenario) fails with seed \(seed):
            \(failures.map { "  " + $0 }.joined(separator: "\n"))
            Again: make simulate SCENARIO=\(scenario) SEED=\(seed)
            """
        return trace.isEmpty ? head : head + "\n" + trace.joined(separator: "\n")
    }
}
