import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints the nodes of a partition group, and the owner of each partition.",
        discussion: """
            Only reads: it does not join the group. For each partition it prints the owner, the fencing token, the \
            number of terms, and the node that should own it with the reason. Without --partitions and --from, it \
            prints all partitions that ever had an owner, and ignores preferences.

            \(HelpText.example("zkrecipes partitions status /app/shards --partitions a,b,c"))

            \(HelpText.exitStatus([
                "0": "printed",
                "1": "there is no partition group at PATH, or there is no connection",
                "64": "invalid option or argument",
            ]))
            """)

    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var partitions: PartitionOptions

    func run() async throws {
        let command = self
        try await runProgram(with: connection) { client in
            let status = try await PartitionGroup.status(
                client: client, path: command.path, partitions: command.partitions.source)
            guard !status.isEmpty else {
                throw try await NothingThere("no nodes, cordons or owned partitions", at: command.path, client)
            }
            await Output.results(PartitionReport(status).lines)
        }
    }
}

extension PartitionStatus {
    /// Whether the path contains no group; partitions that were only requested on the command line do not count.
    fileprivate var isEmpty: Bool {
        nodes.isEmpty && cordons.isEmpty && !partitions.contains { $0.terms > 0 || $0.owner != nil }
    }
}
