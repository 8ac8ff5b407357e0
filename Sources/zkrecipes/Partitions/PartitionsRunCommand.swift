import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Is a node of a group until interrupted, and prints what it begins and ends to own.",
        discussion: """
            began PARTITION TOKEN TIME and ended PARTITION TOKEN TIME; the time is in nanoseconds of the clock that goes on \
            while a process is stopped. SIGTERM, SIGINT, SIGQUIT and SIGHUP give everything up in order.

            \(ProgramSignals.statusHelp)
            """)

    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var partitions: PartitionOptions

    @Option(help: "The node's name, the same after each restart: one word.", transform: parseName)
    var node: String

    @Option(
        parsing: .unconditional, help: "How much the node takes, compared with the others.",
        transform: number(0.001...1_000_000))
    var weight = 1.0

    @Option(
        parsing: .unconditional, help: "The most partitions that the node is to have.",
        transform: number(0...1_000_000))
    var capacity: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("For how many seconds a node that has gone is waited for.", valueName: "seconds"),
        transform: seconds)
    var departureDelay = 60.0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "For how many seconds the node has to be up before it asks others for partitions.", valueName: "seconds"),
        transform: seconds)
    var settleTime = 5.0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Print a line for each owned partition every so many seconds.",
            discussion: "act PARTITION TOKEN, valid or invalid, and the time.", valueName: "seconds"),
        transform: number(0.001...86_400, "seconds"))
    var actEvery: Double?

    func validate() throws {
        guard partitions.source != nil else { throw ValidationError("Give --partitions or --from.") }
    }

    func run() async throws {
        let command = self
        do {
            try await runProgram(with: connection) { client in try await command.takePart(client) }
        } catch is CancellationError {
            // Interrupted, which is how it ends.
        }
    }

    private func takePart(_ client: ZooKeeperClient) async throws {
        guard let source = partitions.source else { return }
        var configuration = PartitionConfiguration()
        configuration.absenceTimeout = .seconds(departureDelay)
        configuration.rebalanceDelay = .seconds(settleTime)
        let pause = actEvery.map { Duration.seconds($0) }
        let group = try PartitionGroup(
            client: client, path: path, node: PartitionNode(node, weight: weight, capacity: capacity),
            partitions: source, configuration: configuration
        ) { partition, term in
            Self.tell("began", partition, term)
            defer { Self.tell("ended", partition, term) }
            while true {
                guard let pause else { return try await OneShot<Void>().wait() }
                Self.tell("act", partition, term, term.isValid ? "valid " : "invalid ")
                try await Task.sleep(for: pause)
            }
        }
        if let from = partitions.from, try await client.exists(at: from) == nil {
            Output.note("zkrecipes: \(from) does not exist: there are no partitions until it does")
        }
        try await group.run()
    }

    private static func tell(_ deed: String, _ partition: Partition, _ term: Term, _ validity: String = "") {
        Output.line("\(deed) \(partition) \(term.fencingToken) \(validity)\(SystemMonotonicClock().now.nanoseconds)")
    }
}
