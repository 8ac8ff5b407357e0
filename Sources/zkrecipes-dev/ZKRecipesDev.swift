import ArgumentParser
import CommandLineSupport
import ZooKeeperRecipes
import ZooKeeperTestKit

@main
enum Program {
    static func main() { ZKRecipesDev.start() }
}

/// The commands of `zkrecipes` that start servers, in a program of their own.
struct ZKRecipesDev: RootCommand {
    static let configuration = CommandConfiguration(
        // As `zkrecipes` starts it.
        commandName: "zkrecipes",
        abstract: "Starts servers for development, and shows what the package is for.",
        subcommands: [DemoCommand.self, ServerCommand.self, DemoProcessorCommand.self, DemoOperatorCommand.self]
    )

    static func isInvalidArgument(_ error: any Error) -> Bool { (error as? RecipeError)?.code == .invalidArgument }

    static func lines(about error: any Error) -> String? {
        // Its last lines are those of a log.
        (error as? TestKitError)?.message.replacing("\t", with: "    ")
    }
}
