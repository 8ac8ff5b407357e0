import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// What is at rest takes no time: in a simulated world every step of it can be counted.
@Suite struct RestTests {
    /// Runs an operation with a client for a minute on a server that nothing happens to; gives the steps it took.
    private static func stepsInAMinute(
        _ operation: @escaping @Sendable (ZooKeeperClient) async throws -> Void
    ) async throws -> Int {
        try await onSimulationThread {
            let simulation = Simulation(seed: 1)
            let ensemble = SimulatedEnsemble(in: simulation)
            let process = SimulatedProcess("p", in: simulation)
            var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "10.0.0.1", port: 2181)])
            configuration.sessionTimeout = .seconds(10)
            let client = try process.makeClient(of: ensemble, configuration: configuration)
            process.start { try? await client.running(operation) }
            simulation.run(until: simulation.now + .seconds(10))
            let before = simulation.steps
            simulation.run(until: simulation.now + .seconds(60))
            let steps = simulation.steps - before
            process.cancel()
            simulation.run(until: simulation.now + .seconds(60)) { process.isRunning }
            try #require(!process.isRunning && simulation.breakdown == nil)
            return steps
        }
    }

    @Test func `a client at rest sends one read in 0.3 T and does nothing else`() async throws {
        let steps = try await Self.stepsInAMinute { _ in try await Self.forever() }
        #expect(steps < 800)
    }

    @Test func `a cache at rest costs no more than its client does`() async throws {
        let alone = try await Self.stepsInAMinute { _ in try await Self.forever() }
        let steps = try await Self.stepsInAMinute { client in
            try await withNodeCache(client: client, path: "/node") { _ in try await Self.forever() }
        }
        #expect(steps < alone + 200)
    }

    @Test func `a cache of children, and a member of a group, at rest cost no more than their client does`()
        async throws
    {
        let alone = try await Self.stepsInAMinute { _ in try await Self.forever() }
        let cache = try await Self.stepsInAMinute { client in
            try await withChildrenCache(client: client, path: "/node") { _ in try await Self.forever() }
        }
        let member = try await Self.stepsInAMinute { client in
            try await GroupMembership(client: client, path: "/group", id: "one").run()
        }
        #expect(cache < alone + 200)
        #expect(member < alone + 200)
    }

    @Test func `an open gate at rest sends its proofs and does nothing else`() async throws {
        let steps = try await Self.stepsInAMinute { client in
            try await ExclusiveMode(client: client, path: "/mode").gate(id: "p").run()
        }
        #expect(steps < 2000)
    }

    @Test func `a held lock at rest sends its proofs and does nothing else`() async throws {
        let steps = try await Self.stepsInAMinute { client in
            try await DistributedReadWriteLock(client: client, path: "/lock").withWriteLock { _ in
                try await Self.forever()
            }
        }
        #expect(steps < 2000)
    }

    /// Until it is cancelled.
    private static func forever() async throws {
        try await OneShot<Void>().wait()
    }
}
