import ArgumentParser

@main
struct ZKRecipes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zkrecipes",
        abstract: "Runs tasks alone among processors that pause for them, over ZooKeeper.",
        subcommands: [
            DemoCommand.self, ServerCommand.self, ExclusiveCommand.self, LockCommand.self, LeaderCommand.self,
            PartitionsCommand.self, ScheduleCommand.self,
            DemoProcessorCommand.self, DemoOperatorCommand.self,
        ]
    )
}
