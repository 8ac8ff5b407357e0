import Testing
import ZooKeeperSimulator

@testable import Simulations

/// A hundred thousand worlds must fit into one process.
@Suite struct WorldMemoryTests {
    @Test(arguments: Array(allScenarios.indices))
    func `a world that has ended is not in memory`(index: Int) async throws {
        let left = try await onSimulationThread { Self.left(by: allScenarios[index]) }
        #expect(left == [])
    }

    /// What is still there of a world, by its type.
    private static func left(by scenario: any Scenario.Type) -> [String] {
        var witnesses: [() -> AnyObject?] = []
        do {
            let simulation = Simulation(seed: 8)
            let world = ScenarioWorld(simulation)
            _ = scenario.init().run(in: world)
            _ = world.end()
            let objects: [AnyObject] = [simulation, world, world.ensemble] + simulation.processes
            for object in objects { witnesses.append { [weak object] in object } }
            simulation.end()
        }
        return witnesses.compactMap { $0() }.map { ($0 as? SimulatedProcess)?.name ?? "\(type(of: $0))" }
    }
}
