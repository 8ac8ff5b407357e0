import ArgumentParser
import ZooKeeperTestKit

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Runs a development server or ensemble until it is interrupted.",
        discussion: """
            The first line is the connection string. The servers listen on loopback only and keep their data in memory \
            or a temporary folder; both end with this process, however it ends. Not for production.
            """)

    @Option(help: "How many members: 1, 3 or 5.")
    var members = 1

    @Option(help: "The port of the first member, the others' follow; without it ports that are free.")
    var port: Int?

    @Option(help: "The server's tick in seconds; sessions may be from 2 ticks to 10 minutes.")
    var tick = 0.5

    func validate() throws {
        guard [1, 3, 5].contains(members) else {
            throw ValidationError("--members is \(members); an ensemble has 1, 3 or 5.")
        }
        let highest = 65_535 - members + 1
        if let port, !(1...highest).contains(port) {
            throw ValidationError("--port is \(port); it must be from 1 to \(highest).")
        }
        guard (0.05...60).contains(tick) else {
            throw ValidationError("--tick is \(tick); it must be from 0.05 to 60 seconds.")
        }
    }

    func run() async throws {
        var configuration = TestServerConfiguration()
        configuration.port = port
        configuration.tickTime = .seconds(tick)
        configuration.maximumSessionTimeout = .seconds(600)
        let (settings, members) = (configuration, members)
        do {
            try await runProgram {
                if members == 1 {
                    try await withTestServer(configuration: settings) { try await hold($0.connectionString) }
                } else {
                    try await withTestEnsemble(members: members, configuration: settings) {
                        try await hold($0.connectionString)
                    }
                }
            }
        } catch is CancellationError {
            // Interrupted, which is how it ends.
        }
    }
}

/// Says where the servers are, and waits for the interruption.
private func hold(_ connectionString: String) async throws {
    Output.line(connectionString)
    Output.note("Running; interrupt to stop.")
    let (forever, continuation) = AsyncStream.makeStream(of: Never.self)
    for await _ in forever {}
    continuation.finish()
    try Task.checkCancellation()
}
