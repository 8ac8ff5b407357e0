import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct PartitionsRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Joins a partition group until a signal, and runs a command for each partition it owns.",
        usage: "zkrecipes partitions run PATH --id ID [options] [-- COMMAND [ARGUMENT...]]",
        discussion: """
            The command starts once for each partition that the node gains, and all of them run at the same time. \
            Before the node releases a partition, the command of that partition is ended. A command that ends by \
            itself, whatever its exit status, is started again after --restart-delay. The delay doubles with each \
            further end up to 1m, and is reset once the command has run for 10s. The node keeps the partition during \
            the delay.

            The command receives the name of the partition in ZK_PARTITION, its fencing token in ZK_FENCING_TOKEN, \
            PATH in ZK_PARTITION_GROUP, --id in ZK_NODE_ID, and the number of the term in ZK_TERM, which counts the \
            terms of this partition on this node from 1. \(HeldCommand.variablesHelp(holding: "partition"))

            Standard output is that of the commands. This program reports gained and released partitions on standard \
            error.

            Without a command, it prints `began PARTITION TOKEN TIME` when the node gains a partition and `ended \
            PARTITION TOKEN TIME` when it loses one. The time is the monotonic time in nanoseconds, which also counts \
            while a process is stopped. SIGTERM releases all partitions.

            \(HelpText.example(
                "zkrecipes partitions run /app/shards --id web-1 --partitions a,b,c -- ./worker.sh",
                "zkrecipes partitions run /app/shards --id web-1 --partitions a,b,c"))

            \(HeldCommand.help(holding: "partition", before: "the next owner's command starts"))

            \(HelpText.exitStatus([
                "0": "a signal ended the program, or the reader of its output has exited",
                "1": "failure, such as no connection or an output that cannot be written",
                "64": "invalid option or argument",
                "126": "the command cannot be run",
                "127": "the command does not exist",
            ]))
            """)

    @Argument(help: PartitionsCommand.pathHelp, transform: PartitionsCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions
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
    var absenceTimeout = DurationArgument.seconds(60)

    @Option(
        "The time that this node must be up before it requests partitions of other nodes.",
        in: .seconds(0)...DurationArgument.oneDay)
    var rebalanceDelay = DurationArgument.seconds(5)

    @Option(
        "Print a line for each owned partition at this interval: act PARTITION TOKEN, valid or invalid, and the time.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var actEvery: DurationArgument?

    @Option(
        "The delay before a command that has ended by itself is started again.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var restartDelay = DurationArgument.seconds(1)

    @OptionGroup var commandLine: CommandOptions

    func validate() throws {
        if commandLine.command.first != nil {
            try commandLine.requireCommand(
                usage: "zkrecipes partitions run PATH --id ID [options] -- COMMAND [ARGUMENT...]")
            guard actEvery == nil else {
                throw ValidationError("--act-every is only for a node without a command: remove it, or the command")
            }
        }
        guard partitions.source != nil else {
            throw ValidationError("there are no partitions: use --partitions or --from")
        }
    }

    func run() async throws {
        let node = self
        do {
            if let name = commandLine.command.first { try HeldCommand.requireExecutable(name) }
            try await monitoring.runProgram(with: connection) { client, readiness in
                try await node.takePart(client, readiness)
            }
        } catch let refusal as CommandRefusal {
            Output.report("\(refusal)")
            throw ExitCode(refusal.status)
        } catch is CancellationError {
            // A signal is the normal end.
        }
    }

    private func takePart(_ client: ZooKeeperClient, _ readiness: Readiness) async throws {
        guard let source = partitions.source else { return }
        var configuration = PartitionGroup.Configuration()
        configuration.absenceTimeout = absenceTimeout.duration
        configuration.rebalanceDelay = rebalanceDelay.duration
        let group = try PartitionGroup(
            client: client, path: path, node: PartitionNode(id, weight: weight, capacity: capacity),
            partitions: source, configuration: configuration, worker: worker(client))
        readiness.require { [weak group] in
            group?.state.plan == nil ? "this node has not joined the partition group yet" : nil
        }
        if let from = partitions.from, try await client.exists(at: from) == nil {
            Output.notice("\(from) does not exist: there are no partitions until it is created")
        }
        try await group.run()
    }

    /// Returns the work on a partition: the command, or printing.
    private func worker(_ client: ZooKeeperClient) -> PartitionGroup.Worker {
        if !commandLine.command.isEmpty {
            let command = PartitionCommand(
                words: commandLine.command, grace: commandLine.grace.duration, restartDelay: restartDelay.duration,
                path: path, id: id)
            return { partition, term in try await command.run(for: partition, in: term, of: client) }
        }
        let pause = actEvery?.duration
        return { partition, term in
            Self.tell("began", partition, term)
            defer { Self.tell("ended", partition, term) }
            while true {
                guard let pause else { return try await OneShot<Void>().wait() }
                Self.tell("act", partition, term, term.isValid ? "valid " : "invalid ")
                try await Task.sleep(for: pause)
            }
        }
    }

    private static func tell(_ deed: String, _ partition: Partition, _ term: Term, _ validity: String = "") {
        Output.line("\(deed) \(partition) \(term.fencingToken) \(validity)\(SystemMonotonicClock().now.nanoseconds)")
    }
}
