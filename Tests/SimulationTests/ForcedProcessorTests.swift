import Simulations
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// A processor whose place was taken away, and that has not heard of it.
@Suite struct ForcedProcessorTests {
    @Test func `a window that is given up while it waits for a forced processor leaves the wait to the next one`()
        async throws
    {
        let (admitted, opened) = try await onSimulationThread { try Self.run() }
        let last = try #require(admitted.last)
        let body = try #require(opened.first)
        #expect(admitted.count > 20)
        #expect(opened.count == 1)
        #expect(last < body)
    }

    /// Gives when the processor let events in, and when a window was open.
    private static func run() throws -> (admitted: [MonotonicInstant], opened: [MonotonicInstant]) {
        let simulation = Simulation(seed: 1)
        let ensemble = SimulatedEnsemble(in: simulation)
        let (admitted, opened) = (Ticks(), Ticks())
        let processor = SimulatedProcess("processor", in: simulation)
        let client = try makeClient(processor, ensemble)
        let clock = SimulatedClock(processor)
        processor.start {
            try? await client.running { client in
                let gate = try ExclusiveMode(client: client, path: "/mode").gate(id: "processor")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await gate.run() }
                    group.addTask {
                        // By the place that is taken away; afterwards it comes back with another.
                        var place: FencingToken?
                        while true {
                            if let permit = gate.tryEnter() {
                                place = place ?? permit.fencingToken
                                if permit.isValid, permit.fencingToken == place { admitted.note(clock.now) }
                                permit.leave()
                            }
                            try await clock.sleep(until: clock.now + .milliseconds(20))
                        }
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
        }
        simulation.run(until: simulation.now + .seconds(10))
        // Nothing reaches it any more; what it holds is valid for a while.
        for connection in processor.connections { connection.hold(toServer: false, toClient: true) }

        let first = try startOperator("first", simulation, ensemble, opened)
        simulation.run(until: simulation.now + .milliseconds(500))
        first.cancel()
        simulation.run(until: simulation.now + .seconds(1)) { first.isRunning }
        try #require(!first.isRunning && ensemble.children(of: "/mode/locks").isEmpty && opened.all.isEmpty)
        // One that has less patience than it takes gives up in time, and leaves the wait as it found it.
        let (refusal, asked) = (OneShot<RecipeError>(), simulation.now)
        let hasty = try startOperator(
            "hasty", simulation, ensemble, opened, drain: .abort(after: .seconds(1)), refusal: refusal)
        simulation.run(until: simulation.now + .seconds(5)) { hasty.isRunning }
        try #require(
            refusal.value?.code == .notPaused && refusal.value?.participants == ["processor"] && opened.all.isEmpty)
        try #require(simulation.now - asked < .milliseconds(1500))
        let second = try startOperator("second", simulation, ensemble, opened)
        simulation.run(until: simulation.now + .seconds(30)) { second.isRunning }
        // The processor goes on for as long as it may.
        simulation.run(until: simulation.now + .seconds(10))
        for process in simulation.processes { process.cancel() }
        simulation.run(until: simulation.now + .seconds(60)) { simulation.processes.contains { $0.isRunning } }
        return (admitted.all, opened.all)
    }

    /// Runs one window, which by default takes the place of those away who do not pause at once.
    private static func startOperator(
        _ name: String, _ simulation: Simulation, _ ensemble: SimulatedEnsemble, _ opened: Ticks,
        drain: DrainPolicy = .evict(after: .milliseconds(100)), refusal: OneShot<RecipeError> = OneShot()
    ) throws -> SimulatedProcess {
        let process = SimulatedProcess(name, in: simulation)
        let client = try makeClient(process, ensemble)
        let clock = SimulatedClock(process)
        process.start {
            try? await client.running { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                do {
                    try await mode.withWindow(reason: name, drain: drain) { _ in opened.note(clock.now) }
                } catch let error as RecipeError {
                    refusal.set(error)
                }
            }
        }
        return process
    }

    private static func makeClient(
        _ process: SimulatedProcess, _ ensemble: SimulatedEnsemble
    ) throws -> ZooKeeperClient {
        var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "10.0.0.1", port: 2181)])
        configuration.sessionTimeout = .seconds(6)
        return try process.makeClient(of: ensemble, configuration: configuration)
    }
}
