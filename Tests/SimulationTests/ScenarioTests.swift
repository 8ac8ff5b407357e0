import Simulations
import Testing
import ZooKeeperSimulator
import ZooKeeperTestKit

/// The recipes in simulated worlds, with a fixed set of seeds; `make simulate` runs any number of others.
@Suite struct ScenarioTests {
    private static let seeds: ClosedRange<UInt64> = 1...30

    @Test(arguments: allScenarios.map { $0.name })
    func `what participants did keeps every promise`(name: String) async throws {
        let scenario = try #require(allScenarios.first { $0.name == name })
        let failed = try await onSimulationThread {
            Self.seeds.lazy.map { Schedule.run(scenario, seed: $0) }.first { !$0.failures.isEmpty }
        }
        guard let failed else { return }
        let again = try await onSimulationThread { Schedule.run(scenario, seed: failed.seed, keepsTrace: true) }
        Issue.record("\(again.report)")
    }

    /// Dictionaries have another order in each run: whoever goes by it makes another trace.
    @Test(arguments: allScenarios.map { $0.name }, [3, 17, 58] as [UInt64])
    func `the same seed gives the same trace, line by line`(name: String, seed: UInt64) async throws {
        let scenario = try #require(allScenarios.first { $0.name == name })
        let (first, second, untraced) = try await onSimulationThread {
            (
                Schedule.run(scenario, seed: seed, keepsTrace: true),
                Schedule.run(scenario, seed: seed, keepsTrace: true), Schedule.run(scenario, seed: seed)
            )
        }
        let difference = zip(first.trace, second.trace).first { $0 != $1 }
        #expect(difference == nil)
        #expect(first.trace == second.trace)
        #expect(first.trace.count > 50)
        #expect(first.fingerprint == second.fingerprint)
        #expect(first.fingerprint == untraced.fingerprint)
        #expect(first.steps == untraced.steps)
    }

    @Test(arguments: allScenarios.map { $0.name })
    func `two processes write the same trace of a seed, byte for byte`(name: String) async throws {
        async let first = Self.trace(of: name, seed: 11)
        async let second = Self.trace(of: name, seed: 11)
        let (one, other) = try await (first, second)
        #expect(one == other)
        #expect(one.count > 50)
    }

    private static func trace(of name: String, seed: UInt64) async throws -> [String] {
        let process = try TestProcess(
            TestProcess.path(ofProduct: "simulate"), arguments: ["--scenario", name, "--seed", "\(seed)"])
        var lines: [String] = []
        for try await line in process.lines { lines.append(line) }
        return lines
    }
}
