import Logging
import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A processor under test: events as fast as they come, each counted while it is inside.
final class TestProcessor: Sendable {
    let gate: EventGate
    let inside = Atomic(0)
    let processed = Atomic(0)

    init(gate: EventGate) {
        self.gate = gate
    }

    /// Processes until cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await gate.withSynchronousPermit { _ in
                    inside.add(1, ordering: .sequentiallyConsistent)
                    processed.add(1, ordering: .relaxed)
                    inside.subtract(1, ordering: .sequentiallyConsistent)
                }
            } catch {
                return
            }
            await Task.yield()
        }
    }

    func awaitState(_ isWanted: (GateState) -> Bool) async {
        for await state in gate.states where isWanted(state) { return }
    }
}

/// Runs clients, gates and a body, and ends them all.
func withProcessors(
    _ count: Int, connection: String, sessionTimeout: Duration = .seconds(4), path: String = "/batch",
    configuration: ExclusiveMode.Configuration = .init(),
    body: @Sendable ([TestProcessor], ExclusiveMode) async throws -> Void
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        var clients: [ZooKeeperClient] = []
        var processors: [TestProcessor] = []
        for number in 0...count {
            let client = try makeTestClient(connection, sessionTimeout: sessionTimeout)
            clients.append(client)
            group.addTask { try await client.run() }
            if number < count {
                let mode = try ExclusiveMode(client: client, path: path, configuration: configuration)
                processors.append(TestProcessor(gate: mode.gate(id: "processor-\(number)")))
            }
        }
        for processor in processors {
            group.addTask { try await processor.gate.run() }
            group.addTask { await processor.run() }
        }
        let mode = try ExclusiveMode(client: clients[count], path: path, configuration: configuration)
        for processor in processors { await processor.awaitState(\.isOpen) }
        do {
            try await body(processors, mode)
        } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
    }
}

func makeTestClient(_ connection: String, sessionTimeout: Duration = .seconds(4)) throws -> ZooKeeperClient {
    var logger = Logger(label: "test")
    logger.logLevel = .error
    return try ZooKeeperClient(
        configuration: .init(connectionString: connection, sessionTimeout: sessionTimeout), logger: logger)
}
