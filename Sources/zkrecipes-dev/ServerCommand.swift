import ArgumentParser
import CommandLineSupport
import ZooKeeperTestKit

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Runs a development server or ensemble until it is interrupted.",
        discussion: """
            The first line is the connection string. The servers listen on loopback only and keep their data in memory \
            or a temporary folder; both end with this process, however it ends. Not for production.

            Exit status: 0 interrupted; 1 a server did not start, as when its port is in use, or has ended by itself; 64 \
            an option is not valid.
            """)

    @Option(parsing: .unconditional, help: "How many members: 1, 3 or 5.", transform: members)
    var members = 1

    @Option(
        parsing: .unconditional,
        help: "The port of the first member, the others' follow; without it ports that are free.",
        transform: number(1...65_535))
    var port: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("The server's tick; sessions may be from 2 ticks to 10 minutes.", valueName: "seconds"),
        transform: number(0.05...60, "seconds"))
    var tick = 0.5

    func validate() throws {
        guard let port, port + members - 1 > 65_535 else { return }
        throw ValidationError(
            "--port is \(port); with \(members) members it must be from 1 to \(65_535 - members + 1).")
    }

    private static func members(_ argument: String) throws -> Int {
        guard let members = Int(argument), [1, 3, 5].contains(members) else {
            throw ValidationError("it must be 1, 3 or 5")
        }
        return members
    }

    func run() async throws {
        var configuration = TestServerConfiguration()
        configuration.port = port
        configuration.tickTime = .seconds(tick)
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
