import ArgumentParser
import Histogram
import ZooKeeper

/// Reads through the client, one at a time and many concurrently.
struct ClientBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Reads per second through the client.")

    @Option(help: "Reads per measurement.") var reads = 20_000
    @Option(help: "Measurements of each kind; the median is printed.") var rounds = 5
    @Option(parsing: .upToNextOption, help: "Numbers of reads in flight.") var depths = [1, 16, 256]
    @Option(help: "Connection string; a server of its own by default.") var connect: String?

    func run() async throws {
        try await withServer(connect) { connection, _ in
            let client = try makeClient(connection)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await client.run() }
                defer { group.cancelAll() }
                _ = try? await client.create("/bench-client", data: Array("0123456789".utf8))
                try await measure(client)
            }
        }
    }

    private func measure(_ client: ZooKeeperClient) async throws {
        print("\nReads through the client (\(reads) reads, median of \(rounds))")
        var rows = [["in flight", "reads/s", "p50 us", "p99 us"]]
        for depth in depths {
            var rates: [Double] = []
            var latencies = Histogram<UInt64>(
                highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
            for _ in 0..<rounds {
                let count = depth == 1 ? reads / 4 : reads
                let began = ContinuousClock.now
                for nanoseconds in try await read(client, count: count, depth: depth) {
                    _ = latencies.record(nanoseconds)
                }
                rates.append(Double(count) / (began.duration(to: .now).inNanoseconds / 1e9))
            }
            rows.append([
                String(depth), text(median(rates), digits: 0),
                text(Double(latencies.valueAtPercentile(50)) / 1000),
                text(Double(latencies.valueAtPercentile(99)) / 1000),
            ])
        }
        printTable(rows)
    }

    private func read(_ client: ZooKeeperClient, count: Int, depth: Int) async throws -> [UInt64] {
        try await withThrowingTaskGroup(of: [UInt64].self) { group in
            for _ in 0..<depth {
                group.addTask {
                    var latencies: [UInt64] = []
                    latencies.reserveCapacity(count / depth)
                    for _ in 0..<(count / depth) {
                        let began = ContinuousClock.now
                        _ = try await client.data(at: "/bench-client")
                        latencies.append(UInt64(began.duration(to: .now).inNanoseconds))
                    }
                    return latencies
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }
}
