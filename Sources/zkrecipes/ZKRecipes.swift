import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

@main
enum Program {
    static func main() {
        DevelopmentProgram.takeOver()
        ZKRecipes.start()
    }
}

struct ZKRecipes: RootCommand {
    static let configuration = CommandConfiguration(
        commandName: "zkrecipes",
        abstract: "Runs tasks alone among processors that pause for them, over ZooKeeper.",
        discussion: """
            Text from znodes is printed with control characters escaped, such as \\n and \\u{1b}.

            Exit status of every command: 0 success; 1 the command failed, or there is nothing at the path; 64 an option, \
            an argument or a setting is not valid. Commands that run another command have more, listed in their help; \
            `exclusive run` and `lock` exit with 125 in place of 1.
            """,
        subcommands: [
            DemoCommand.self, ServerCommand.self, ExclusiveCommand.self, LockCommand.self, LeaderCommand.self,
            PartitionsCommand.self, ScheduleCommand.self,
        ]
    )

    static func isInvalidArgument(_ error: any Error) -> Bool { (error as? RecipeError)?.code == .invalidArgument }
}
