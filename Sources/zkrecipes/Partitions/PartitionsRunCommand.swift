import ArgumentParser
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Is a node of a group until interrupted, and prints what it begins and ends to own.",
        discussion: """
            began PARTITION TOKEN TIME and ended PARTITION TOKEN TIME; the time is in nanoseconds of the clock that goes on \
            while a process is stopped. SIGTERM and SIGINT give everything up in order.
            """)

    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var partitions: PartitionOptions

    @Option(help: "The node's name, the same after each restart.")
    var node: String

    @Option(help: "How much the node takes, compared with the others.")
    var weight = 1.0

    @Option(help: "The most partitions that the node is to have.")
    var capacity: Int?

    @Option(help: "For how many seconds a node that has gone is waited for.")
    var departureDelay = 60.0

    @Option(help: "For how many seconds the node has to be up before it asks others for partitions.")
    var settleTime = 5.0

    @Option(
        help: ArgumentHelp(
            "Print a line for each owned partition every so many seconds.",
            discussion: "act PARTITION TOKEN, valid or invalid, and the time."))
    var actEvery: Double?

    func validate() throws {
        guard partitions.source != nil else { throw ValidationError("Give --partitions or --from.") }
        guard (actEvery ?? 1) > 0, (actEvery ?? 1) <= 86_400 else {
            throw ValidationError("--act-every must be over 0 and at most 86400 seconds.")
        }
        try HeldCommand.validate(seconds: departureDelay, option: "--departure-delay")
        try HeldCommand.validate(seconds: settleTime, option: "--settle-time")
        guard weight.isFinite, weight > 0 else { throw ValidationError("--weight is \(weight); it must be over 0.") }
        guard (capacity ?? 0) >= 0 else { throw ValidationError("--capacity must not be negative.") }
        if let problem = PartitionNode.problem(ofName: node) { throw ValidationError("--node: \(problem).") }
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
        configuration.departureDelay = .seconds(departureDelay)
        configuration.settleTime = .seconds(settleTime)
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
        try await group.run()
    }

    private static func tell(_ deed: String, _ partition: Partition, _ term: Term, _ validity: String = "") {
        Output.line("\(deed) \(partition) \(term.fencingToken) \(validity)\(SystemMonotonicClock().now.nanoseconds)")
    }
}
