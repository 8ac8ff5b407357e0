import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints who owns which partition, with which token, and where each should be and why.",
        discussion: """
            Takes no part itself. Without --partitions and --from it tells of all that have ever been owned, and knows of no \
            preferences.

            Exit status: 0 printed; 1 there is no group at PATH, or the ensemble cannot be reached; 64 an option or an \
            argument is not valid.
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
            for line in Self.report(status) { Output.line(line) }
        }
    }

    /// The nodes with what they have, then the partitions.
    static func report(_ status: PartitionStatus) -> [String] {
        let balance = status.balance
        let known = Dictionary(status.nodes.map { (ZNodeName($0.name), $0) }) { first, _ in first }
        let nodes = Set(balance.keys).union(status.cordons.keys).sorted().strings.map { name in
            [name, "\(balance[name] ?? 0)", remarks(on: name, known[name], status.cordons[name])]
        }
        let partitions = status.partitions.map { entry in
            [
                entry.partition, entry.owner ?? "nobody", entry.token.map { "\($0)" } ?? "-", "\(entry.terms)",
                entry.reason,
            ]
        }
        return Text.table([["NODE", "OWNS", ""]] + nodes, rightAligned: [1]) + [""]
            + Text.table([["PARTITION", "OWNER", "TOKEN", "TERMS", "BELONGS TO"]] + partitions, rightAligned: [2, 3])
    }

    /// What is not usual about a node.
    private static func remarks(on name: String, _ node: PartitionNode?, _ note: String?) -> String {
        var text = "not a member"
        if let node { text = String(decoding: node.description.utf8.dropFirst(name.utf8.count + 2), as: UTF8.self) }
        guard let note else { return text }
        if node == nil { text += ", cordoned by an operator" }
        return note.isEmpty ? text : "\(text): \(note)"
    }
}

extension PartitionStatus {
    /// Whether there is nothing that makes a path a group's; partitions that were only asked for do not count.
    fileprivate var isEmpty: Bool {
        nodes.isEmpty && cordons.isEmpty && !partitions.contains { $0.terms > 0 || $0.owner != nil }
    }
}
