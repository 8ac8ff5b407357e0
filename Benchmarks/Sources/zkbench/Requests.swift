import ZooKeeper

/// Plain requests of the client, a number of them in flight at any time.
enum Requests {
    static func get(_ bench: Bench, _ arguments: LineArguments) async throws {
        try await measure("get", bench, arguments) { client, path in
            try await client.create(path, data: Array("0123456789".utf8))
            return { _ = try await client.data(at: path) }
        }
    }

    static func createDelete(_ bench: Bench, _ arguments: LineArguments) async throws {
        try await measure("create-delete", bench, arguments) { client, path in
            try await client.create(path)
            return {
                let node = try await client.create(path + "/n-", mode: .ephemeralSequential)
                try await client.delete(node.path)
            }
        }
    }

    private static func measure(
        _ line: String, _ bench: Bench, _ arguments: LineArguments,
        _ prepare: (ZooKeeperClient, String) async throws -> @Sendable () async throws -> Void
    ) async throws {
        let depth = try arguments.count(0)
        let count = try arguments.count(1, default: depth == 1 ? 5_000 : 20_000) / depth * depth
        try await bench.withClients(1, session: bench.session) { clients in
            let request = try await prepare(clients[0], bench.freshPath(line))
            _ = try await run(request, times: max(1, count / depth / 4), depth: depth)
            let (packets, start) = (try bench.packets(), now())
            let latencies = try await run(request, times: count / depth, depth: depth)
            let seconds = Double(now() - start) / 1e9
            let requests = try bench.packets(since: packets)
            var report = Report(line)
            report.add("depth", depth)
            report.add("n", count)
            report.add("ops_s", Double(count) / seconds)
            report.add(latencies)
            report.add("req_per_op", Double(requests) / Double(count))
            report.print()
        }
    }

    private static func run(
        _ request: @escaping @Sendable () async throws -> Void, times: Int, depth: Int
    ) async throws -> Latencies {
        try await withThrowingTaskGroup(of: Latencies.self) { group in
            for _ in 0..<depth {
                group.addTask {
                    var latencies = Latencies()
                    for _ in 0..<times {
                        let start = now()
                        try await request()
                        latencies.record(now() - start)
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: Latencies()) { $0.add($1) }
        }
    }
}
