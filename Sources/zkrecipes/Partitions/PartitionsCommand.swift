import ArgumentParser
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions",
        abstract: "Shares partitions out among nodes, and tells who has which.",
        subcommands: [
            PartitionsRunCommand.self, PartitionsStatusCommand.self, PartitionsCordonCommand.self,
            PartitionsUncordonCommand.self,
        ])

    /// What PATH is, for the help of each subcommand.
    static let pathHelp: ArgumentHelp = "The group's znode, such as /app/shards."

    static func parse(path: String) throws -> String {
        try parsePath(path, name: "PATH", example: "/app/shards")
    }
}

/// Which partitions there are.
struct PartitionOptions: ParsableArguments {
    @Option(help: "The partitions' ids, separated by commas.")
    var partitions: String?

    @Option(
        help: "The znode whose children are the partitions; a line preferred=NODE,NODE in one's data names its nodes.")
    var from: String?

    func validate() throws {
        guard partitions == nil || from == nil else {
            throw ValidationError("--partitions and --from are two ways to say the same; give one.")
        }
        if let from { _ = try parsePath(from, name: "--from", example: "/app/shards-list") }
        for partition in list ?? [] {
            if let problem = partition.problem { throw ValidationError("--partitions: \(problem).") }
        }
    }

    /// The partitions that were given; by scalars, because an id may begin with one that merges with the comma.
    private var list: [Partition]? {
        partitions?.unicodeScalars.split(separator: ",").map { Partition(String($0)) }
    }

    var source: PartitionSource? {
        if let from { return .children(of: from) }
        return list.map { .list($0) }
    }
}
