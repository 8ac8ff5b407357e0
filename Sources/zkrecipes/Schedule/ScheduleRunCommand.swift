import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

struct ScheduleRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a command once per period, on one of the nodes that run this program.",
        usage: "zkrecipes schedule run PATH --id ID [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            Prints the state of this node, one line per change.

            The command receives its fencing token in ZK_FENCING_TOKEN, the ID of the period in ZK_PERIOD and the \
            number of the attempt in ZK_ATTEMPT. If it does not exit with 0, the run has failed; this program continues. \
            \(HeldCommand.variablesHelp(holding: "leadership"))

            Each line that the command writes to the file ZK_CHECKPOINT_FILE, of up to 100000 bytes, replaces the \
            run's checkpoint. With --takeover resume, the next attempt receives the last checkpoint in ZK_CHECKPOINT. \
            A line is recorded after the write has returned. The file is a pipe, which the command inherits as a \
            descriptor.

            \(HelpText.example(
                "zkrecipes schedule run /app/report --id web-1 \\",
                "  --cron '0 2 * * *' --tz Europe/Berlin --exclusive /orders -- ./report.sh"))

            \(HeldCommand.help(holding: "leadership"))

            \(HelpText.exitStatus([
                "0": "a signal ended the program, or the reader of its output has exited",
                "1": "failure, such as no connection or an output that was not written",
                "64": "invalid option or argument",
                "126": "the command cannot be run",
                "127": "the command does not exist",
            ]))

            \(HelpText.unwrittenOutput)
            """)

    @Argument(help: ScheduleCommand.pathHelp, transform: { try parsePath($0, name: "PATH", example: "/app/report") })
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions
    @OptionGroup var when: ScheduleOptions
    @OptionGroup var policies: SchedulePolicyOptions

    @Option(help: "The ID of this node in the records.", transform: parseLabel)
    var id: String

    @Option(
        help: ArgumentHelp("Wait without limit at a step of the first attempt.", visibility: .private),
        transform: parseWords
    )
    var holdAt: TaskStep?

    @Option(
        "Instead of running a command, act for this time.", in: .seconds(0)...DurationArgument.oneDay,
        visibility: .private)
    var rehearse: DurationArgument?

    @OptionGroup var commandLine: CommandOptions

    func validate() throws {
        _ = try policies.configuration()
        if rehearse == nil {
            try commandLine.requireCommand(
                usage: "zkrecipes schedule run PATH --id ID [options] -- COMMAND [ARGUMENT...]")
        }
    }

    func run() async throws {
        let command = self
        do {
            if rehearse == nil { try HeldCommand.requireExecutable(commandLine.command[0]) }
            try await monitoring.runProgram(with: connection) { client, readiness in
                try await command.take(part: client, readiness)
            }
        } catch let refusal as CommandRefusal {
            Output.report("\(refusal)")
            throw ExitCode(refusal.status)
        } catch is CancellationError {
            // A signal is the normal end.
        }
    }

    private func take(part client: ZooKeeperClient, _ readiness: Readiness) async throws {
        var configuration = try policies.configuration()
        configuration.exclusive = try policies.exclusive.map { try ExclusiveMode(client: client, path: $0) }
        let (holdAt, command) = (holdAt, self)
        let task = try ScheduledTask(
            client: client, path: path, id: id, name: ZNodePath(path).name, schedule: when.schedule(),
            delivery: policies.delivery, configuration: configuration, logger: .program, wallClock: { .now },
            atStep: { step, record in
                guard let holdAt else { return }
                Output.line("step \(step.rawValue) \(record.period) \(record.attempt)")
                if step == holdAt, record.attempt == 1 { _ = try? await OneShot<Void>().wait() }
            }, body: { run in try await command.perform(run, client) })
        readiness.require { [weak task] in
            switch task?.state {
            case .failed(let failure)?: "this node is not in the election: \(failure)"
            case .clockSkew(let skew)?: "this node does not take the schedule: the wall clock is \(skew)"
            default: nil
            }
        }
        let states = task.states
        let printer = Task { for await state in states { Output.line("\(state)") } }
        defer { printer.cancel() }
        try await task.run()
        await printer.value
    }

    private func perform(_ run: ScheduledRun, _ client: ZooKeeperClient) async throws {
        if let rehearse { return try await rehearsal(run, for: rehearse.duration) }
        let variables = [
            "ZK_PERIOD": run.period.id, "ZK_ATTEMPT": String(run.attempt), "ZK_CHECKPOINT": run.lastCheckpoint,
            "ZK_SESSION_ID": client.state.session?.id.description,
        ]
        try await commandLine.held.run(under: run, variables: variables) { try await run.checkpoint($0) }
    }

    /// Records a checkpoint and acts for a time instead of running a command, and prints each step.
    private func rehearsal(_ run: ScheduledRun, for time: Duration) async throws {
        Output.line("begin \(run.period.id) \(run.attempt) \(run.fencingToken) \(run.lastCheckpoint ?? "-")")
        try await run.checkpoint("half")
        Output.line("checkpoint half")
        let end = SystemMonotonicClock().now + time
        while SystemMonotonicClock().now < end {
            let (isValid, now) = (run.isValid, SystemMonotonicClock().now.nanoseconds)
            Output.line("act \(run.fencingToken) \(isValid ? "valid" : "invalid") \(now)")
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
