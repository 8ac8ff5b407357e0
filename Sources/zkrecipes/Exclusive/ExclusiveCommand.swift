import ArgumentParser

struct ExclusiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exclusive",
        abstract: "Runs a command alone among processors, and tells how they stand.",
        subcommands: [ExclusiveRunCommand.self, ExclusiveStatusCommand.self])

    /// What BASE is, for the help of each subcommand.
    static let baseHelp: ArgumentHelp = "The znode that the exclusive mode stands below, such as /orders."
}
