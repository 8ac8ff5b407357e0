import ArgumentParser
import ZooKeeper
import ZooKeeperRecipes

/// The memory that many repetitions leave in use; any growth would eventually end a program that runs for years.
enum Leaks {
    /// Fails if an operation leaves more than 20 bytes per repetition, and more than 1 MiB in all.
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let count = try arguments.count(0)
        let only = arguments.isEmpty(1) ? nil : try arguments.text(1)
        var leaking: [String] = []
        try await bench.withClients(1, session: bench.longSession) { clients in
            let path = bench.freshPath("leaks")
            try await clients[0].create(path)
            for (name, operation) in try operations(clients[0], path) where only ?? name == name {
                // The memory that the first repetitions need stays with the process.
                for _ in 0..<count { try await operation() }
                let (before, start) = (ProcessStatus().resident, now())
                for _ in 0..<count { try await operation() }
                let (growth, time) = (ProcessStatus().resident - before, now() - start)
                var report = Report("leaks")
                report.add("how", name)
                report.add("n", count)
                report.add("bytes_per_op", Double(growth) / Double(count))
                report.add("us_per_op", Double(time) / 1_000 / Double(count))
                report.print()
                if growth > 20 * count, growth > 1_048_576 { leaking.append(name) }
            }
        }
        guard leaking.isEmpty else {
            throw BenchError("memory grows with each repetition of: \(leaking.joined(separator: ", "))")
        }
    }

    private typealias Operation = @Sendable () async throws -> Void

    private static func operations(_ client: ZooKeeperClient, _ path: String) throws -> [(String, Operation)] {
        let mutex = try DistributedMutex(client: client, path: path + "/mutex")
        let lock = try DistributedReadWriteLock(client: client, path: path + "/lock")
        let semaphore = try DistributedSemaphore(client: client, path: path + "/semaphore", limit: 2)
        let mode = try ExclusiveMode(client: client, path: path + "/exclusive")
        return [
            ("mutex", { try await mutex.withLock { _ in } }),
            ("mutex-with-timeout", { try await mutex.withLock(timeout: .seconds(3600)) { _ in } }),
            ("read-lock", { try await lock.withReadLock { _ in } }),
            ("write-lock", { try await lock.withWriteLock { _ in } }),
            ("mutex-handle", { await (try await mutex.acquire()).release() }),
            ("semaphore-lease", { try await semaphore.withLease { _ in } }),
            ("window", { _ = try await mode.withWindow(reason: "leaks") { _ in } }),
            ("window-with-gate", { try await windowWithGate(mode) }),
            ("leadership-term", { try await term(client, path + "/latch") }),
            ("node-cache", { try await withNodeCache(client: client, path: path) { _ = $0.current } }),
            (
                "node-cache-absent",
                { try await withNodeCache(client: client, path: path + "/absent") { _ = $0.current } }
            ),
        ]
    }

    /// A gate that opens, is closed by a window, and stops.
    private static func windowWithGate(_ mode: ExclusiveMode) async throws {
        let gate = mode.gate(id: "leaks")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await gate.run() }
            for await state in gate.states where state.isOpen { break }
            _ = try await mode.withWindow(reason: "leaks") { _ in }
            group.cancelAll()
        }
    }

    private static func term(_ client: ZooKeeperClient, _ path: String) async throws {
        let latch = try LeaderLatch(client: client, path: path, logger: .errorsOnly)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await latch.run() }
            for await state in latch.states where state.isLeading { break }
            group.cancelAll()
        }
    }
}
