import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// An ensemble that nothing happens to, processes, and what they have noted.
final class ExclusiveScene {
    let simulation = Simulation(seed: 1)
    let ensemble: SimulatedEnsemble
    let sessionTimeout: Duration
    /// When the processor let short events in, when its long event was over, and when a window opened.
    let (entered, longEnded, opened) = (Ticks(), Ticks(), Ticks())
    let tokens = Broadcast<[FencingToken]>([])

    init(_ sessionTimeout: Duration = .seconds(6)) throws {
        self.sessionTimeout = sessionTimeout
        ensemble = SimulatedEnsemble(in: simulation)
    }

    func run(_ span: Duration) { simulation.run(until: simulation.now + span) }

    func admitted(after start: MonotonicInstant) -> [MonotonicInstant] { entered.all.filter { $0 >= start } }

    func admitted(from start: MonotonicInstant, to end: MonotonicInstant) -> Int {
        entered.all.count { start <= $0 && $0 < end }
    }

    func start(
        _ name: String, _ body: @escaping @Sendable (ZooKeeperClient) async throws -> Void
    ) throws -> SimulatedProcess {
        let process = SimulatedProcess(name, in: simulation)
        let client = try makeClient(for: process)
        process.start { try? await client.running(body) }
        return process
    }

    func makeClient(for process: SimulatedProcess) throws -> ZooKeeperClient {
        var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "10.0.0.1", port: 2181)])
        configuration.sessionTimeout = sessionTimeout
        return try process.makeClient(of: ensemble, configuration: configuration)
    }

    /// A processor with short events every 20 ms, and where that is wanted a long one beside them.
    func startProcessor(_ name: String = "processor", longEvent: Duration? = nil) throws -> SimulatedProcess {
        let (entered, longEnded, tokens) = (entered, longEnded, tokens)
        return try start(name) { client in
            let clock = client.clock
            let gate = try ExclusiveMode(client: client, path: "/mode").gate(id: name)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await gate.run() }
                group.addTask {
                    guard let longEvent else { return try await OneShot<Void>().wait() }
                    try await gate.withPermit { _ in try await clock.sleep(until: clock.now + longEvent) }
                    longEnded.note(clock.now)
                    try await OneShot<Void>().wait()
                }
                group.addTask {
                    while true {
                        if let permit = gate.tryEnter() {
                            entered.note(clock.now)
                            tokens.send(tokens.current + [permit.fencingToken])
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

    /// Opens one window.
    func startOperator(
        _ name: String = "operator", drain: DrainPolicy = .wait,
        operation: @escaping @Sendable (ZooKeeperClient) async throws -> Void = { _ in }
    ) throws -> SimulatedProcess {
        let opened = opened
        return try start(name) { client in
            let mode = try ExclusiveMode(client: client, path: "/mode")
            try await mode.withWindow(reason: "test", drain: drain) { _ in
                opened.note(client.clock.now)
                try await operation(client)
            }
        }
    }
}
