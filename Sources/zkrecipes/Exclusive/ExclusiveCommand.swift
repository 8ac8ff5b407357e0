import ArgumentParser
import CommandLineSupport

struct ExclusiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exclusive",
        abstract: "Pauses processors for a command or for a hold, runs or evicts one, or prints who has paused.",
        discussion: """
            \(HelpText.example(
                "zkrecipes exclusive gate /orders -- ./worker", "zkrecipes exclusive run /orders -- ./nightly.sh",
                "zkrecipes exclusive status /orders"))

            \(HelpText.exitStatus([
                "0": "success",
                "1": "failure, such as no connection, or nothing exists at BASE",
                "64": "invalid option or argument",
                "other": "`run` and `gate` only: see their help",
            ]))
            """,
        subcommands: [
            ExclusiveGateCommand.self, ExclusiveRunCommand.self, ExclusiveStatusCommand.self,
            ExclusiveHoldCommand.self, ExclusiveUnholdCommand.self, ExclusiveEvictCommand.self,
        ])

    /// The help for BASE in each subcommand.
    static let baseHelp: ArgumentHelp = "The base znode of the exclusive mode, such as /orders."
}
