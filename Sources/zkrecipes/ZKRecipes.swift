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
        abstract: "Runs commands under locks, windows and schedules in ZooKeeper, and prints the state of recipes.",
        discussion: """
            Durations are written as 10s, 500ms, 2m, 1h or 1d; a bare number is in seconds. Text from znodes is \
            printed with control characters escaped, such as \\n and \\u{1b}.

            \(HelpText.example("zkrecipes lock /locks/nightly --connect zk1:2181,zk2:2181 -- ./nightly.sh"))

            \(HelpText.exitStatus([
                "0": "success",
                "1": "failure, such as no connection, or nothing exists at the path",
                "2": "`doctor`: at least one error; 1 stands for warnings",
                "64": "invalid option, argument or setting",
                "120-127": "`lock`, `lead`, `exclusive run`, `exclusive gate`, `schedule run`: see their help",
                "other": "`lock`, `lead`, `exclusive run`, `exclusive gate`: their command's status",
            ]))
            """,
        version: programVersion,
        subcommands: [
            DemoCommand.self, ServerCommand.self, ExclusiveCommand.self, LockCommand.self, LeadCommand.self,
            LeaderCommand.self, PartitionsCommand.self, ScheduleCommand.self, StatusCommand.self, DashboardCommand.self,
            ACLCommand.self,
            DoctorCommand.self,
        ]
    )

    /// Replaces the parser's `Error` in front of messages.
    static var _errorLabel: String { Output.programName }

    static func isInvalidArgument(_ error: any Error) -> Bool { (error as? RecipeError)?.code == .invalidArgument }

    static func lines(about error: any Error) -> String? { (error as? RecipeError)?.explanation }
}
