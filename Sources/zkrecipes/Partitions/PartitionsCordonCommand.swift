import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The arguments that select a node of a partition group.
struct PartitionNodeOptions: ParsableArguments, Sendable {
    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @Argument(help: "The node's name.", transform: parseNode)
    var node: String

    /// The exit statuses of commands about a node, for a help text.
    static let exitStatus = HelpText.exitStatus([
        "0": "success",
        "1": "there is no partition group at PATH, or there is no connection",
        "64": "invalid option or argument",
    ])

    private static func parseNode(_ argument: String) throws -> String {
        guard let problem = problem(ofZNodeName: argument) else { return argument }
        throw ValidationError("the name \(Text.quoted(argument)) \(problem); use a name such as web-1")
    }

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var operation: OperatorOptions

    func validate() throws {
        if let problem = PartitionNode.problem(ofName: node) { throw ValidationError("NODE: \(problem)") }
    }

    /// Returns the action that performs an operation on the node, whose result says whether the node is in the group.
    ///
    /// - Parameter description: What the operation does, as a verb phrase.
    /// - Throws: ``RecipeError`` if there is no partition group at the path.
    func action(
        _ description: String, _ client: ZooKeeperClient, _ change: @escaping @Sendable () async throws -> String
    ) async throws -> OperatorAction {
        // A dry run and the question need a group as well.
        try await PartitionGroup.requireGroup(at: path, client: client)
        return OperatorAction(description: description) { [path, node] in
            let deed = try await change()
            let isThere =
                try await PartitionGroup.status(client: client, path: path, partitions: []).balance[node] != nil
            return OperatorAction.Outcome(results: ["\(node) \(deed)\(isThere ? "" : "; it is not in the group now")"])
        }
    }
}

struct PartitionsCordonCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "cordon",
        abstract: "Moves all partitions away from a node, until it is uncordoned.",
        discussion: """
            The partitions move in order: a node stops its work on one before the next owner starts. The cordon is \
            the znode PATH/cordons/NODE, and it persists when the node restarts. This command does not wait until the \
            partitions have moved: `zkrecipes partitions status PATH` prints the owners, and the reason.

            \(HelpText.example("zkrecipes partitions cordon /app/shards web-1 --reason \"disk failure\""))

            \(PartitionNodeOptions.exitStatus)
            """)

    @OptionGroup var target: PartitionNodeOptions

    var connection: ConnectionOptions { target.connection }
    var operation: OperatorOptions { target.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let (path, node, reason) = (target.path, target.node, target.operation.reason)
        return try await target.action("cordon \(node), so that the partitions of \(path) move to other nodes", client)
        {
            try await PartitionGroup.cordon(node, client: client, path: path, reason: reason)
            return "is cordoned"
        }
    }
}

struct PartitionsUncordonCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "uncordon",
        abstract: "Removes the cordon of a node, so that its partitions return.",
        discussion: """
            Removes the cordon of an operator. A node that has cordoned itself stays cordoned.

            \(HelpText.example("zkrecipes partitions uncordon /app/shards web-1"))

            \(PartitionNodeOptions.exitStatus)
            """)

    @OptionGroup var target: PartitionNodeOptions

    var connection: ConnectionOptions { target.connection }
    var operation: OperatorOptions { target.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let (path, node) = (target.path, target.node)
        return try await target.action("uncordon \(node), so that partitions of \(path) return to it", client) {
            try await PartitionGroup.uncordon(node, client: client, path: path)
                ? "is uncordoned" : "was not cordoned by an operator"
        }
    }
}
