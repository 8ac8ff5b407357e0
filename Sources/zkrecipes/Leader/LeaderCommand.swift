import ArgumentParser
import CommandLineSupport

struct LeaderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leader",
        abstract: "Takes part in an election, and tells who does.",
        subcommands: [LeaderRunCommand.self, LeaderStatusCommand.self])

    /// What PATH is, for the help of each subcommand.
    static let pathHelp: ArgumentHelp = "The znode whose children are the candidates, such as /app/leader."

    static func parse(path: String) throws -> String {
        try parsePath(path, name: "PATH", example: "/app/leader")
    }
}
