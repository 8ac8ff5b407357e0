import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Joins a partition group until a signal, and prints every partition it gains or loses.",
        discussion: """
            Prints `began PARTITION TOKEN TIME` when the node gains a partition and `ended PARTITION TOKEN TIME` when \
            it loses one. The time is the monotonic time in nanoseconds, which also counts while a process is \
            stopped. SIGTERM releases all partitions in order. \(HelpText.signals)

            \(HelpText.example("zkrecipes partitions run /app/shards --id web-1 --partitions a,b,c"))

            \(HelpText.statusUntilSignal)
            """)

    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var partitions: PartitionOptions

    @Option(
        help: "The ID of the node, without white space; use the same one after each restart.", transform: parseName)
    var id: String

    @Option(
        parsing: .unconditional,
        help: "The share of partitions of this node, relative to the other nodes. (default: 1)",
        transform: number(0.001...1_000_000))
    var weight = 1.0

    @Option(
        parsing: .unconditional, help: "The maximum number of partitions of this node. (default: no limit)",
        transform: number(0...1_000_000))
    var capacity: Int?

    @Option(
        "The time to wait for a node that has left before its partitions move.",
        in: .seconds(0)...DurationArgument.oneDay)
    var departureDelay = DurationArgument.seconds(60)

    @Option(
        "The time that this node must be up before it requests partitions of other nodes.",
        in: .seconds(0)...DurationArgument.oneDay)
    var settleTime = DurationArgument.seconds(5)

    @Option(
        "Print a line for each owned partition at this interval: act PARTITION TOKEN, valid or invalid, and the time.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var actEvery: DurationArgument?

    func validate() throws {
        guard partitions.source != nil else {
            throw ValidationError("there are no partitions: use --partitions or --from")
        }
    }

    func run() async throws {
        let command = self
        do {
            try await runProgram(with: connection) { client in try await command.takePart(client) }
        } catch is CancellationError {
            // A signal is the normal end.
        }
    }

    private func takePart(_ client: ZooKeeperClient) async throws {
        guard let source = partitions.source else { return }
        var configuration = PartitionGroup.Configuration()
        configuration.absenceTimeout = departureDelay.duration
        configuration.rebalanceDelay = settleTime.duration
        let pause = actEvery?.duration
        let group = try PartitionGroup(
            client: client, path: path, node: PartitionNode(id, weight: weight, capacity: capacity),
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
            Output.report("\(from) does not exist: there are no partitions until it is created")
        }
        try await group.run()
    }

    private static func tell(_ deed: String, _ partition: Partition, _ term: Term, _ validity: String = "") {
        Output.line("\(deed) \(partition) \(term.fencingToken) \(validity)\(SystemMonotonicClock().now.nanoseconds)")
    }
}
