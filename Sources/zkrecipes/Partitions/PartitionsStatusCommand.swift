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
            await Output.results(Self.report(status))
        }
    }

    /// Returns the lines of the report: the nodes with the number of their partitions, then the partitions.
    static func report(_ status: PartitionStatus) -> [String] {
        let balance = status.balance
        let known = Dictionary(status.nodes.map { (ZNodeName($0.id), $0) }) { first, _ in first }
        let nodes = Set(balance.keys).union(status.cordons.keys).sorted().strings.map { name in
            [name, "\(balance[name] ?? 0)", remarks(on: name, known[name], status.cordons[name])]
        }
        let partitions = status.partitions.map { entry in
            [
                entry.partition, entry.owner ?? "none", entry.token.map { "\($0)" } ?? "-", "\(entry.terms)",
                entry.reason,
            ]
        }
        return Text.table([["NODE", "OWNS", ""]] + nodes, rightAligned: [1]) + [""]
            + Text.table([["PARTITION", "OWNER", "TOKEN", "TERMS", "BELONGS TO"]] + partitions, rightAligned: [2, 3])
    }

    /// Returns the remarks about a node, such as its weight and its cordon.
    private static func remarks(on name: String, _ node: PartitionNode?, _ note: String?) -> String {
        var text = "not a member"
        if let node { text = String(decoding: node.description.utf8.dropFirst(name.utf8.count + 2), as: UTF8.self) }
        guard let note else { return text }
        if node == nil { text += ", cordoned by an operator" }
        return note.isEmpty ? text : "\(text): \(note)"
    }
}

extension PartitionStatus {
    /// Whether the path contains no group; partitions that were only requested on the command line do not count.
    fileprivate var isEmpty: Bool {
        nodes.isEmpty && cordons.isEmpty && !partitions.contains { $0.terms > 0 || $0.owner != nil }
    }
}
