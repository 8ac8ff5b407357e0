import ArgumentParser
import CommandLineSupport
import ZooKeeper

struct ACLCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acl",
        abstract: "Prints or changes which identities may use znodes.",
        discussion: """
            ZooKeeper does not inherit ACLs: each znode has its own, which it receives when it is created.

            \(HelpText.example(
                "zkrecipes acl show /app --recursive",
                "zkrecipes acl set /app --acl creator --recursive --auth-file /etc/app/zookeeper --dry-run"))

            \(HelpText.exitStatus([
                "0": "success",
                "1": "failure, such as no connection, or a znode without permission",
                "64": "invalid option or argument",
            ]))
            """,
        subcommands: [ACLShowCommand.self, ACLSetCommand.self])
}

/// The arguments that select the znodes of a command about ACLs.
struct ACLTargetOptions: ParsableArguments {
    @Argument(help: "A znode, such as /app.", transform: StatusCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Include everything below PATH, except the servers' own znodes /zookeeper below the root.")
    var recursive = false

    @Option(
        help: "Fail if there are more znodes than this. (default: 1000000)", transform: number(1...100_000_000))
    var maxZnodes = 1_000_000

    @Flag(help: "Print one JSON object.")
    var json = false

    /// Returns the identities of this client.
    func identities() throws -> OwnIdentities {
        let endpoint = try connection.endpoint()
        return OwnIdentities(endpoint.credentials, hasCertificate: endpoint.tls != nil)
    }

    /// Reads the ACLs of the znodes.
    func read(_ client: ZooKeeperClient) async throws -> ACLTree {
        try await ACLTree.read(client, at: path, isRecursive: recursive, limit: maxZnodes)
    }
}
