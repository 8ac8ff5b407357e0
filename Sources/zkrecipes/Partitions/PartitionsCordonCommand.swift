import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// Which node of which group.
struct PartitionNodeOptions: ParsableArguments {
    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @Argument(help: "The node's name.", transform: parseNode)
    var node: String

    /// What the statuses of commands about a node mean.
    static let exitStatus = """
        Exit status: 0 done; 1 there is no group at PATH, or the ensemble cannot be reached; 64 an option or an argument \
        is not valid.
        """

    private static func parseNode(_ argument: String) throws -> String {
        guard let problem = problem(ofZNodeName: argument) else { return argument }
        throw ValidationError("\(Text.quoted(argument)) \(problem); right would be web-1.")
    }

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let problem = PartitionNode.problem(ofName: node) { throw ValidationError("NODE: \(problem).") }
    }

    /// Changes something about the node, and tells what it is now.
    func change(_ operation: @escaping @Sendable (ZooKeeperClient) async throws -> String) async throws {
        let (path, node) = (path, node)
        let (deed, isThere) = try await runProgram(with: connection) { client in
            let deed = try await operation(client)
            return (
                deed, try await PartitionGroup.status(client: client, path: path, partitions: []).balance[node] != nil
            )
        }
        Output.line("\(node) \(deed)\(isThere ? "" : "; it is not in the group now")")
    }
}

struct PartitionsCordonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cordon",
        abstract: "Has a node own nothing: what it owns moves away in order, until it is uncordoned.",
        discussion: """
            The mark stands at PATH/cordons/NODE and outlives the node's restarts. It does not wait for what moves: status \
            tells who owns what.

            \(PartitionNodeOptions.exitStatus)
            """)

    @OptionGroup var target: PartitionNodeOptions

    @Option(help: "Why; status shows it.")
    var note = ""

    func run() async throws {
        let (path, node, note) = (target.path, target.node, note)
        try await target.change { client in
            try await PartitionGroup.cordon(node, client: client, path: path, reason: note)
            return "is cordoned"
        }
    }
}

struct PartitionsUncordonCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uncordon",
        abstract: "Has a node take part again, and get its partitions back.",
        discussion: """
            It takes the operator's mark away; a node that has cordoned itself stays so.

            \(PartitionNodeOptions.exitStatus)
            """)

    @OptionGroup var target: PartitionNodeOptions

    func run() async throws {
        let (path, node) = (target.path, target.node)
        try await target.change { client in
            try await PartitionGroup.uncordon(node, client: client, path: path)
                ? "is uncordoned" : "was not cordoned by an operator"
        }
    }
}
