import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// How often a leader leads whose closure ends at once, and how soon it stops, in simulated time.
@Suite struct ShortTermTests {
    private struct Run: Sendable {
        var terms: Int
        /// How long the participant took to stop.
        var stopped: Duration
        var states: [LeaderState]
    }

    /// Runs a selector for a minute, then stops it.
    private static func run(
        _ configuration: LeaderConfiguration = .init(), lead: @escaping @Sendable (Term) async throws -> Void
    ) async throws -> Run {
        try await onSimulationThread {
            let simulation = Simulation(seed: 1)
            let ensemble = SimulatedEnsemble(in: simulation)
            let process = SimulatedProcess("p", in: simulation)
            let client = try process.makeClient(
                of: ensemble,
                configuration: ZooKeeperClientConfiguration(servers: [ServerAddress(host: "10.0.0.1", port: 2181)]))
            let terms = Mutex(0)
            let states = Mutex<[LeaderState]>([])
            let selector = try LeaderSelector(client: client, path: "/leader", id: "a", configuration: configuration) {
                terms.withLock { $0 += 1 }
                try await lead($0)
            }
            process.start {
                try? await client.running { _ in
                    async let running: Void = selector.run()
                    for await state in selector.states { states.withLock { $0.append(state) } }
                    try await running
                }
            }
            simulation.run(until: simulation.now + .seconds(60))
            let count = terms.withLock { $0 }
            let stopping = simulation.now
            process.cancel()
            simulation.run(until: simulation.now + .seconds(60)) { process.isRunning }
            try #require(!process.isRunning && simulation.breakdown == nil)
            return Run(terms: count, stopped: simulation.now - stopping, states: states.withLock { $0 })
        }
    }

    @Test func `a leader that returns at once leads once or twice a second, and stops in its pause`() async throws {
        let run = try await Self.run { _ in }
        #expect(run.terms >= 50 && run.terms <= 130)
        #expect(run.stopped < .milliseconds(500))
        let pauses = run.states.compactMap(\.failure)
        #expect(pauses.count >= 48 && pauses.allSatisfy { $0.isShortTerm && $0.retryDelay <= .seconds(1) })
    }

    @Test func `so does one that resigns at once`() async throws {
        let run = try await Self.run { $0.resign() }
        #expect(run.terms >= 50 && run.terms <= 130)
    }

    @Test func `the minimum bounds the pauses`() async throws {
        var configuration = LeaderConfiguration()
        configuration.minimumTermDuration = .seconds(10)
        let run = try await Self.run(configuration) { _ in }
        #expect(run.terms >= 8 && run.terms <= 25)
    }
}
