import MetricsTestKit
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What the recipes record in the metrics of their client.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(2)))
struct RecipeMetricsTests {
    private let metrics = TestMetrics()

    private var settings: ZooKeeperClientConfiguration {
        get throws { try .init(connectionString: TestServer.current.connectionString) }
    }

    private func withClient(_ body: @escaping @Sendable (ZooKeeperClient) async throws -> Void) async throws {
        try await withZooKeeperClient(configuration: settings, metricsFactory: metrics, operation: body)
    }

    private func count(_ name: String, _ dimensions: (String, String)...) -> Int64 {
        metrics.counterTotal(label: "zookeeper.\(name)", dimensions: dimensions)
    }

    private func times(_ name: String, _ dimensions: (String, String)...) throws -> [Int64] {
        try metrics.expectTimer("zookeeper.\(name).seconds", dimensions).values
    }

    private func expectHeld(_ recipe: String, _ count: Double) throws {
        let meter = try metrics.expectMeter("zookeeper.grants.held", [("recipe", recipe)])
        #expect(meter.values.last == count, "\(recipe)")
    }

    @Test func `locks and leases are counted, with the length of the queue`() async throws {
        let other = try ZooKeeperClient(configuration: settings)
        try await withClient { client in
            let mutex = try DistributedMutex(client: client, path: "/metrics/mutex")
            try await other.running { other in
                let lease = try await DistributedMutex(client: other, path: "/metrics/mutex").acquire()
                let waiting = OneShot<Void>()
                let waiter = Task { try await mutex.withLock(onQueued: { _ in waiting.set(()) }) { _ in } }
                try await waiting.wait()
                await lease.release()
                try await waiter.value
            }
            let lock = try DistributedReadWriteLock(client: client, path: "/metrics/lock")
            try await lock.withReadLock { _ in }
            try await lock.withWriteLock { _ in }
            let semaphore = try DistributedSemaphore(client: client, path: "/metrics/leases", limit: 2)
            try await semaphore.withLease { _ in try expectHeld("semaphore", 1) }
        }
        for recipe in ["mutex", "readLock", "writeLock", "semaphore"] {
            #expect(count("grants", ("recipe", recipe)) == 1, "\(recipe)")
            try expectHeld(recipe, 0)
            #expect(try times("grant.wait", ("recipe", recipe)).count == 1, "\(recipe)")
            #expect(try times("grant.hold", ("recipe", recipe)).count == 1, "\(recipe)")
        }
        #expect(try metrics.expectRecorder("zookeeper.queue.length", [("recipe", "mutex")]).values == [1])
    }

    @Test func `terms are counted, and their losses by reason`() async throws {
        try await withClient { client in
            let first = OneShot<String>()
            let second = OneShot<Void>()
            let selector = try LeaderSelector(client: client, path: "/metrics/leader", id: "a") { term in
                if !first.set(term.znodePath) { second.set(()) }
                try await OneShot<Void>().wait()
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await selector.run() }
                try await client.delete(try await first.wait())
                try await second.wait()
                group.cancelAll()
            }
        }
        #expect(count("grants", ("recipe", "leader")) == 2)
        #expect(count("grant.losses", ("recipe", "leader"), ("reason", "znodeDeleted")) == 1)
        try expectHeld("leader", 0)
    }

    @Test func `a window is counted, and so are its drain and the pause of a gate`() async throws {
        try await withClient { client in
            let mode = try ExclusiveMode(client: client, path: "/metrics/orders")
            try await mode.withGate(id: "a") { gate in
                for await state in gate.states where state.isOpen { break }
                try expectHeld("gate", 1)
                try await mode.withWindow(reason: "test") { _ in
                    try expectHeld("gate", 0)
                    try expectHeld("window", 1)
                }
                for await state in gate.states where state.isOpen { break }
            }
        }
        #expect(count("grants", ("recipe", "gate")) == 2 && count("grants", ("recipe", "window")) == 1)
        try expectHeld("gate", 0)
        try expectHeld("window", 0)
        #expect(try times("gate.drain").count == 1)
        #expect(try times("gate.pause").count == 1)
        #expect(try times("window.drain").count == 1)
        let (pause, drain) = (try times("gate.pause")[0], try times("window.drain")[0])
        #expect(pause > 0 && drain > 0 && drain < 60_000_000_000)
    }

    @Test func `a run is counted by its outcome, with its lateness`() async throws {
        try await withClient { client in
            let ran = OneShot<Void>()
            let task = try ScheduledTask(
                client: client, path: "/metrics/task", id: "a", name: "task", schedule: .every(.seconds(1)),
                delivery: .atLeastOnce
            ) { _ in ran.set(()) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await task.run() }
                try await ran.wait()
                for await state in task.states { if case .waiting = state { break } }
                group.cancelAll()
            }
        }
        #expect(count("schedule.runs", ("outcome", "completed")) >= 1)
        #expect(try times("schedule.lateness").allSatisfy { $0 >= 0 && $0 < 60_000_000_000 })
    }

    @Test func `partitions are counted when a node gains and loses them`() async throws {
        try await withClient { client in
            let group = try PartitionGroup(
                client: client, path: "/metrics/shards", node: PartitionNode("a"),
                partitions: .list([Partition("p"), Partition("q")])
            ) { _, _ in try await OneShot<Void>().wait() }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                for await state in group.states where state.owned.count == 2 { break }
                #expect(count("partition.moves", ("change", "gained")) == 2)
                try expectHeld("partition", 2)
                tasks.cancelAll()
            }
        }
        #expect(count("partition.moves", ("change", "lost")) == 2)
        #expect(count("grants", ("recipe", "partition")) == 2)
    }
}
