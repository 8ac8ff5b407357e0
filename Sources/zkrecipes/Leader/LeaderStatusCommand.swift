import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LeaderStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints the names of the participants, the leader first.",
        discussion: """
            Only reads: it does not join the election. It also reads the elections of Curator's LeaderLatch and \
            LeaderSelector.

            \(HelpText.example("zkrecipes leader status /app/leader"))

            \(HelpText.exitStatus([
                "0": "printed, or --watch was ended by a signal",
                "1": "there are no participants at PATH, or there is no connection",
                "64": "invalid option or argument",
            ]))
            With --watch, SIGTERM ends the program. \(HelpText.signals)
            """)

    @Argument(help: LeaderCommand.pathHelp, transform: LeaderCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Print only the leader's name, again after every change, until a signal.")
    var watch = false

    func run() async throws {
        let command = self
        do {
            try await runProgram(with: connection) { client in
                guard command.watch else {
                    let all = try await LeaderSelector.participants(client: client, path: command.path)
                    guard !all.isEmpty else {
                        throw try await NothingThere("no candidates", at: command.path, client)
                    }
                    await Output.results(all.map(\.id))
                    return
                }
                for try await leader in LeaderSelector.leaderChanges(client: client, path: command.path) {
                    Output.line(leader?.id ?? "")
                    try await Output.requireWritten()
                }
            }
        } catch is CancellationError where watch {
            // A signal is the normal end of watching.
        }
    }
}
