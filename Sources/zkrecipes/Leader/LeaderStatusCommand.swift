import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LeaderStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints the ids of those who take part, the leader first.",
        discussion: """
            Takes no part itself. Also for the latches and selectors of JVM processes.

            Exit status: 0 printed, or watched until interrupted; 1 nobody takes part at PATH, or the ensemble cannot be \
            reached; 64 an option or an argument is not valid.
            """)

    @Argument(help: LeaderCommand.pathHelp, transform: LeaderCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Print the leader's id alone, again with every change, until interrupted.")
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
                    for participant in all { Output.line(participant.id) }
                    return
                }
                for try await leader in LeaderSelector.leaderChanges(client: client, path: command.path) {
                    Output.line(leader?.id ?? "")
                }
            }
        } catch is CancellationError where watch {
            // Interrupted, which is how watching ends.
        }
    }
}
