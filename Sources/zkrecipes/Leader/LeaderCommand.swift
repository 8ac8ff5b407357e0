import ArgumentParser
import CommandLineSupport

struct LeaderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leader",
        abstract: "Joins a leader election, prints its participants, or asks its leader to resign.",
        discussion: """
            To run a command while a node leads, use `zkrecipes lead`.

            \(HelpText.example(
                "zkrecipes leader run /app/leader --id web-1", "zkrecipes leader status /app/leader",
                "zkrecipes leader transfer /app/leader --to web-2 --reason \"maintenance of web-1\""))

            \(HelpText.exitStatus([
                "0": "success, or a signal ended the program",
                "1": "failure, such as no connection or no participants, or a leader continues",
                "64": "invalid option or argument",
            ]))
            """,
        subcommands: [
            LeaderRunCommand.self, LeaderStatusCommand.self, LeaderResignCommand.self, LeaderTransferCommand.self,
        ])

    /// The help for PATH in each subcommand.
    static let pathHelp: ArgumentHelp = "The znode whose children are the candidates, such as /app/leader."

    static func parse(path: String) throws -> String {
        try parsePath(path, name: "PATH", example: "/app/leader")
    }
}
