import ArgumentParser

struct ExclusiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exclusive", abstract: "Windows for tasks that run alone, and how they stand.")
}
