import Simulations
import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// A client that is moved comes with a new handle, which has seen nothing: also a leader that has been deposed accepts it.
@Suite struct StaleServerTests {
    @Test func `a window does not take a znode for gone that its server does not know yet`() async throws {
        let (entered, opened, wanted) = try await onSimulationThread {
            let simulation = Simulation(seed: 1)
            var settings = EnsembleSettings(servers: 3)
            settings.syncLimit = 15
            let ensemble = SimulatedEnsemble(in: simulation, settings: settings)
            func run(_ span: Duration) { simulation.run(until: simulation.now + span) }
            run(.seconds(3))
            let old = try #require(ensemble.leader)
            let others = [0, 1, 2].filter { $0 != old }
            func address(_ server: Int) -> ServerAddress { ServerAddress(host: "10.0.0.\(server + 1)", port: 2181) }
            func start(
                _ name: String, _ body: @escaping @Sendable (ZooKeeperClient) async throws -> Void
            ) throws -> (process: SimulatedProcess, client: ZooKeeperClient) {
                let process = SimulatedProcess(name, in: simulation)
                var configuration = ZooKeeperClientConfiguration(servers: others.map(address))
                configuration.sessionTimeout = .seconds(10)
                let client = try process.makeClient(of: ensemble, configuration: configuration)
                process.start { try? await client.running(body) }
                return (process, client)
            }

            // Its session is known to all servers.
            let (go, entered, opened) = (OneShot<Void>(), Ticks(), Ticks())
            let moved = try start("operator") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                try await mode.withWindow(reason: "first") { _ in }
                try await go.wait()
                try await mode.withWindow(reason: "second") { _ in opened.note(client.clock.now) }
            }
            run(.seconds(3))
            // The leader is cut off, and the others begin anew with another one.
            ensemble.cut([[old], others])
            for server in others { ensemble.stop(server) }
            for server in others { ensemble.start(server) }
            run(.seconds(3))
            try #require(ensemble.leader != old && ensemble.isServing(old))
            // The old leader never hears of its znode.
            _ = try start("processor") { client in
                let gate = try ExclusiveMode(client: client, path: "/mode").gate(id: "processor")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await gate.run() }
                    group.addTask {
                        try await gate.withPermit { _ in
                            entered.note(client.clock.now)
                            try await client.clock.sleep(until: client.clock.now + .seconds(60))
                        }
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                }
            }
            run(.seconds(2))
            simulation.after(.zero, by: moved.process) { go.set(()) }
            run(.seconds(1))
            let wanted = ensemble.node("/mode/signal") != nil
            simulation.after(.zero, by: moved.process) { try? moved.client.updateServers([address(old)]) }
            run(.seconds(4))
            return (entered.all.count, opened.all.count, wanted)
        }
        #expect(entered == 1)
        #expect(wanted)
        #expect(opened == 0)
    }
}
