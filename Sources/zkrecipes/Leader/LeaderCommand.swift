import ArgumentParser
import CommandLineSupport

struct LeaderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leader",
        abstract: "Joins a leader election, or prints its participants.",
        discussion: """
            To run a command while a node leads, use `zkrecipes lead`.

            \(HelpText.example("zkrecipes leader run /app/leader --id web-1", "zkrecipes leader status /app/leader"))

            \(HelpText.exitStatus([
                "0": "success, or a signal ended the program",
                "1": "failure, such as no connection, or there are no participants",
                "64": "invalid option or argument",
            ]))
            """,
        subcommands: [LeaderRunCommand.self, LeaderStatusCommand.self])

    /// The help for PATH in each subcommand.
    static let pathHelp: ArgumentHelp = "The znode whose children are the candidates, such as /app/leader."

    static func parse(path: String) throws -> String {
        try parsePath(path, name: "PATH", example: "/app/leader")
    }
}
