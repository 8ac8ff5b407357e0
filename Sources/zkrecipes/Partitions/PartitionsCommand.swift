import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "partitions",
        abstract: "Distributes partitions among nodes, or prints their owners.",
        discussion: """
            \(HelpText.example(
                "zkrecipes partitions run /app/shards --id web-1 --partitions a,b,c -- ./worker.sh",
                "zkrecipes partitions status /app/shards"))

            \(HelpText.exitStatus([
                "0": "success, or a signal ended the program",
                "1": "failure, such as no connection, or there is no group at PATH",
                "64": "invalid option or argument",
                "126, 127": "`partitions run`: see its help",
            ]))
            """,
        subcommands: [
            PartitionsRunCommand.self, PartitionsStatusCommand.self, PartitionsCordonCommand.self,
            PartitionsUncordonCommand.self,
        ])

    /// The help for PATH in each subcommand.
    static let pathHelp: ArgumentHelp = "The znode of the partition group, such as /app/shards."

    static func parse(path: String) throws -> String {
        try parsePath(path, name: "PATH", example: "/app/shards")
    }
}

/// The options that define the partitions.
struct PartitionOptions: ParsableArguments {
    @Option(help: "The names of the partitions, separated by commas.")
    var partitions: String?

    @Option(
        help:
            "The znode whose children are the partitions; a line preferred=NODE,NODE in a child's data sets its nodes.",
        transform: { try parsePath($0, name: "--from", example: "/app/shards") })
    var from: String?

    func validate() throws {
        guard partitions == nil || from == nil else {
            throw ValidationError("--partitions and --from exclude each other: use one of them")
        }
        for id in ids ?? [] {
            guard let problem = problem(ofName: id) else { continue }
            throw ValidationError("--partitions: the name \(Text.quoted(id)) \(problem); use a list such as a,b,c")
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
