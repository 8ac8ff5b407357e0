import ArgumentParser
import CommandLineSupport
import Foundation
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

struct ScheduleRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a command once a period, on one of the nodes that run this.",
        discussion: """
            Prints the state of this node, one line for each change.

            The command gets ZK_FENCING_TOKEN, ZK_PERIOD and ZK_ATTEMPT. Each line that it writes to the file \
            ZK_CHECKPOINT_FILE replaces the run's checkpoint, up to 100000 bytes: with --takeover resume, the next \
            attempt gets the last one in ZK_CHECKPOINT. A line is recorded after it was written, not before the write \
            returns. The file is a pipe, inherited as a descriptor. A command that does not succeed makes the run a \
            failed one.

            \(HeldCommand.help(holding: "leadership"))

            \(ProgramSignals.statusHelp) 126 the command cannot be run; 127 there is no such command.
            """)

    @Argument(help: "The task's znode.", transform: { try parsePath($0, name: "PATH", example: "/app/settle") })
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var when: ScheduleOptions
    @OptionGroup var policies: SchedulePolicyOptions

    @Option(help: "What names this node in records.")
    var node: String

    @Option(
        help: ArgumentHelp("Wait for ever at a step of the first attempt.", visibility: .private), transform: parseWords
    )
    var holdAt: TaskStep?

    @Option(
        help: ArgumentHelp("Instead of a command: act for so many seconds.", visibility: .private),
        transform: parseSeconds)
    var rehearse: Double?

    @Option(
        parsing: .unconditional, help: "From SIGTERM to SIGKILL, in seconds, when the command has to end.",
        transform: parseSeconds)
    var grace = 10.0

    @Argument(parsing: .postTerminator, help: "The command and its arguments.")
    var command: [String] = []

    func validate() throws {
        guard !node.isEmpty else { throw ValidationError("--node is empty; name the node.") }
        _ = try policies.configuration()
        if rehearse == nil {
            try HeldCommand.validate(
                words: command, grace: grace, usage: "zkrecipes schedule run PATH --node NAME -- COMMAND")
        }
    }

    func run() async throws {
        let command = self
        do {
            if rehearse == nil { try HeldCommand.requireExecutable(self.command[0]) }
            try await runProgram(with: connection) { client in try await command.take(part: client) }
        } catch let refusal as CommandRefusal {
            Output.note("zkrecipes: \(refusal)")
            throw ExitCode(refusal.status)
        } catch is CancellationError {
            // Interrupted, which is how it ends.
        }
    }

    private func take(part client: ZooKeeperClient) async throws {
        var configuration = try policies.configuration()
        configuration.exclusive = try policies.exclusive.map { try ExclusiveMode(client: client, path: $0) }
        let (holdAt, command) = (holdAt, self)
        let task = try ScheduledTask(
            client: client, path: path, id: node, name: ZNodePath(path).name, schedule: when.schedule(),
            delivery: policies.delivery, configuration: configuration, logger: .program, wallClock: { Date() },
            atStep: { step, record in
                guard let holdAt else { return }
                Output.line("step \(step.rawValue) \(record.period) \(record.attempt)")
                if step == holdAt, record.attempt == 1 { _ = try? await OneShot<Void>().wait() }
            }, body: { run in try await command.perform(run) })
        let states = task.states
        let printer = Task { for await state in states { Output.line("\(state)") } }
        defer { printer.cancel() }
        try await task.run()
        await printer.value
    }

    private func perform(_ run: ScheduledRun) async throws {
        if let rehearse { return try await rehearsal(run, seconds: rehearse) }
        let variables = [
            "ZK_PERIOD": run.period.id, "ZK_ATTEMPT": String(run.attempt), "ZK_CHECKPOINT": run.lastCheckpoint,
        ]
        let held = HeldCommand(words: command, grace: .seconds(grace))
        try await held.run(under: run, variables: variables) { try await run.checkpoint($0) }
    }

    /// Acts, notes how far it came, and prints both.
    private func rehearsal(_ run: ScheduledRun, seconds: Double) async throws {
        Output.line("begin \(run.period.id) \(run.attempt) \(run.fencingToken) \(run.lastCheckpoint ?? "-")")
        try await run.checkpoint("half")
        Output.line("checkpoint half")
        let end = SystemMonotonicClock().now + .seconds(seconds)
        while SystemMonotonicClock().now < end {
            let (isValid, now) = (run.isValid, SystemMonotonicClock().now.nanoseconds)
            Output.line("act \(run.fencingToken) \(isValid ? "valid" : "invalid") \(now)")
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
