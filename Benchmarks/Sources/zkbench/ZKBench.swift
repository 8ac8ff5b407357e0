import ArgumentParser
import ZooKeeperTestKit

/// Runs one line of the benchmark and prints its results as JSON.
@main
struct ZKBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zkbench",
        abstract: "Measures this package against a running ZooKeeper server.",
        discussion: """
            Prints one JSON object for each result. Benchmarks/README.md explains the keys. The lines are:

            \(Line.all.map { "  " + ([$0.name, $0.usage].filter { !$0.isEmpty }).joined(separator: " ") }.joined(separator: "\n"))

            The variable SESSION_MS sets the session timeout (default: 10000). leader-failover uses FAILOVER_MS instead \
            (default: 2000). Lines with many sessions use at least 30 s.
            """)

    @Argument(help: "A connection string, or own to start a server for the run.")
    var connect: String

    @Argument(help: "The line to run.", transform: Line.named)
    var line: Line

    @Argument(help: "The arguments of the line.")
    var arguments: [String] = []

    func run() async throws {
        let arguments = LineArguments(line: line, arguments)
        if connect == "own" {
            var configuration = TestServerConfiguration()
            configuration.heapMegabytes = 1_024
            try await withTestServer(configuration: configuration) { server in
                try await line.run(Bench(connect: server.connectionString, server: server), arguments)
            }
        } else {
            try await line.run(Bench(connect: connect), arguments)
        }
    }
}
