import ArgumentParser
import CommandLineSupport
import ZooKeeperTestKit

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Runs a development server or ensemble until a signal.",
        discussion: """
            The first line of the output is the connection string. The servers listen on loopback only. They keep \
            their data in memory or in a temporary folder, and end when this process ends for any reason. Do not use \
            them in production. \(HelpText.signals)

            \(HelpText.example("zkrecipes server --members 3 --port 2181 --tick 500ms"))

            \(HelpText.exitStatus([
                "0": "a signal ended the program",
                "1": "a server did not start, as when its port is in use, or it ended",
                "64": "invalid option",
            ]))
            """)

    @Option(parsing: .unconditional, help: "The number of members: 1, 3 or 5.", transform: members)
    var members = 1

    @Option(
        parsing: .unconditional,
        help: "The port of the first member; the others use the next ports. (default: free ports)",
        transform: number(1...65_535))
    var port: Int?

    @Option(
        "The tick of the servers; session timeouts are from 2 ticks to 10m.",
        in: .milliseconds(50)...(.minutes(1)))
    var tick = DurationArgument.milliseconds(500)

    func validate() throws {
        guard let port, port + members - 1 > 65_535 else { return }
        throw ValidationError(
            "--port is \(port); with \(members) members it must be from 1 to \(65_535 - members + 1)")
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
        configuration.tickTime = tick.duration
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
            // A signal is the normal end.
        }
    }
}

/// Prints the connection string and waits for a signal.
private func hold(_ connectionString: String) async throws {
    Output.line(connectionString)
    Output.report("the servers run until this program is interrupted")
    let (forever, continuation) = AsyncStream.makeStream(of: Never.self)
    for await _ in forever {}
    continuation.finish()
    try Task.checkCancellation()
}
