import ArgumentParser
import CommandLineSupport
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
        help: "The znode whose children are the partitions; a line preferred=NODE,NODE in one's data names its nodes.",
        transform: { try parsePath($0, name: "--from", example: "/app/shards") })
    var from: String?

    func validate() throws {
        guard partitions == nil || from == nil else {
            throw ValidationError("--partitions and --from are two ways to say the same; give one.")
        }
        for id in ids ?? [] {
            guard let problem = problem(ofName: id) else { continue }
            throw ValidationError("--partitions has the id \(Text.quoted(id)), which \(problem); right would be a,b,c.")
        }
    }

    private var ids: [String]? {
        partitions?.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            .map { String(Substring($0)) }
    }

    var source: PartitionSource? {
        if let from { return .children(of: from) }
        return ids.map { .list($0.map { Partition($0) }) }
    }
}
