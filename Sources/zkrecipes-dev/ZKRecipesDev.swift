import ArgumentParser
import CommandLineSupport
import ZooKeeperRecipes
import ZooKeeperTestKit

@main
enum Program {
    static func main() { ZKRecipesDev.start() }
}

/// The program that contains the commands of `zkrecipes` that start servers.
struct ZKRecipesDev: RootCommand {
    static let configuration = CommandConfiguration(
        // `zkrecipes` starts this program for these commands.
        commandName: "zkrecipes",
        abstract: "Runs development servers and the demo.",
        discussion: """
            \(HelpText.example("zkrecipes demo --fault"))

            \(HelpText.exitStatus([
                "0": "success",
                "1": "failure: see the help of the subcommand",
                "64": "invalid option",
            ]))
            """,
        version: programVersion,
        subcommands: [DemoCommand.self, ServerCommand.self, DemoProcessorCommand.self, DemoOperatorCommand.self]
    )

    /// Replaces the parser's `Error` in front of messages.
    static var _errorLabel: String { Output.programName }

    static func isInvalidArgument(_ error: any Error) -> Bool { (error as? RecipeError)?.code == .invalidArgument }

    static func lines(about error: any Error) -> String? {
        // The message ends with lines of a server's log.
        (error as? TestKitError)?.message.replacing("\t", with: "    ")
    }
}
