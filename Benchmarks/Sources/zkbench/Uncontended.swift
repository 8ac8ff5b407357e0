import ZooKeeper
import ZooKeeperRecipes

/// Acquires and releases a lock that nothing else uses.
enum Uncontended {
    static func mutex(_ bench: Bench, _ arguments: LineArguments) async throws {
        try await measure("mutex", bench, arguments) { client, path in
            let mutex = try DistributedMutex(client: client, path: path)
            return Pair(acquire: { try await mutex.acquire() }, scoped: { try await mutex.withLock { _ in now() } })
        }
    }

    static func readLock(_ bench: Bench, _ arguments: LineArguments) async throws {
        try await measure("rwlock-read", bench, arguments) { client, path in
            let lock = try DistributedReadWriteLock(client: client, path: path)
            return Pair(
                acquire: { try await lock.acquireReadLock() }, scoped: { try await lock.withReadLock { _ in now() } })
        }
    }

    /// The two ways to hold a lock.
    private struct Pair {
        var acquire: () async throws -> Lease
        /// Acquires, returns the time at which the lock was held, and releases.
        var scoped: () async throws -> Int64
    }

    private static func measure(
        _ line: String, _ bench: Bench, _ arguments: LineArguments,
        _ make: (ZooKeeperClient, String) throws -> Pair
    ) async throws {
        let count = try arguments.count(0)
        let how = try arguments.word(1, of: ["handle", "scoped"])
        try await bench.withClients(1, session: bench.session) { clients in
            let pair = try make(clients[0], bench.freshPath(line))
            var (both, acquire) = (Latencies(), Latencies())
            func once() async throws -> (start: Int64, held: Int64) {
                let start = now()
                if how == "scoped" { return (start, try await pair.scoped()) }
                let lease = try await pair.acquire()
                let held = now()
                await lease.release()
                return (start, held)
            }
            for _ in 0..<max(50, min(count / 2, 500)) { _ = try await once() }
            let (packets, start) = (try bench.packets(), now())
            for _ in 0..<count {
                let turn = try await once()
                both.record(now() - turn.start)
                acquire.record(turn.held - turn.start)
            }
            let seconds = Double(now() - start) / 1e9
            let requests = try bench.packets(since: packets)
            var report = Report(line)
            report.add("how", how)
            report.add("n", count)
            report.add("ops_s", Double(count) / seconds)
            report.add(both)
            report.add(acquire, prefix: "acquire_")
            report.add("req_per_op", Double(requests) / Double(count))
            report.print()
        }
    }
}
