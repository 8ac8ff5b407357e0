import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lead",
        abstract: "Joins a leader election, and runs a command while this node leads.",
        usage: "zkrecipes lead PATH [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command starts when this node becomes the leader. If the node loses the leadership, or hands it over to \
            a participant with a higher priority, the command is ended. The node then rejoins the election, and the \
            command runs again in its next term.

            When the command ends by itself, whatever its exit status, the next participant leads within milliseconds, \
            and this program exits with that status. A supervisor such as systemd can start it again. With --restart, \
            this program rejoins the election instead.

            The command receives its fencing token in ZK_FENCING_TOKEN, PATH in ZK_LEADER_PATH, the ID of this \
            participant in ZK_LEADER_ID, and the number of the term in ZK_TERM, which counts the terms of this program \
            from 1. \(HeldCommand.variablesHelp(holding: "leadership"))

            Standard output is the command's own. This program reports the beginning of each term, and its position in \
            the queue, on standard error.

            \(HelpText.example("zkrecipes lead /app/leader --id web-1 --grace 30s -- ./server --active"))

            \(HeldCommand.help(holding: "leadership", before: "the next leader starts"))

            \(HelpText.exitStatus([
                "121": "this node did not lead in time (with --wait)"
            ]))
            \(HeldCommand.statusHelp)
            """)

    @Argument(help: LeaderCommand.pathHelp, transform: LeaderCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions

    @Option(
        help: "The name of this participant, without white space. (default: the host's name and the process ID)",
        transform: parseName)
    var id: String?

    @OptionGroup var priorities: LeaderPriorityOptions

    @Option(
        "Give up if this node has not led after this time. (default: wait without limit)",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var wait: DurationArgument?

    @Flag(help: "Rejoin the election when the command has ended by itself, and run it again in the next term.")
    var restart = false

    @OptionGroup var commandLine: CommandOptions

    func validate() throws {
        try commandLine.requireCommand(usage: "zkrecipes lead PATH -- COMMAND [ARGUMENT...]")
    }

    func run() async throws {
        let command = self
        let held = commandLine.held
        try await held.runProgram(with: connection, monitoring, codes: [.timedOut: 121]) { client, readiness in
            try await command.lead(with: held, client, readiness)
        }
    }

    /// Takes part in the election until the command has ended by itself, and throws its error.
    private func lead(with held: HeldCommand, _ client: ZooKeeperClient, _ readiness: Readiness) async throws {
        // Whether a term has started; `false` if the time to wait has passed first.
        let start = OneShot<Bool>()
        let end = OneShot<Result<Void, any Error>>()
        let leaving = OneShot<Void>()
        let id = id ?? "\(ProcessIdentity.current)"
        let selector = try LeaderSelector(
            client: client, path: path, id: id, configuration: priorities.configuration(isRestarting: restart)
        ) { term in
            guard start.set(true) || start.value == true else { return }
            guard let result = await serve(term, id, held, client) else { return }
            end.set(result)
            leaving.set(())
        }
        selector.leave(when: leaving)
        readiness.require(participationOf: selector)
        let states = selector.states
        try await alongside({
            async let reports: Void = Self.report(states)
            await selector.warnAboutSharedID(id, client)
            await reports
        }) {
            try await alongside({
                guard let wait, (try? await Task.sleep(for: wait.duration)) != nil, start.set(false) else { return }
                leaving.set(())
            }) {
                try await selector.run()
            }
        }
        if let end = end.value { return try end.get() }
        guard start.value == false, let wait else { throw CancellationError() }
        throw RecipeError(
            .timedOut, in: .election, path: path, message: "waited for \(wait), the value of --wait")
    }

    /// Runs the command for one term.
    ///
    /// - Returns: The result of a command that has ended by itself; `nil` if the node has to rejoin the election.
    private func serve(
        _ term: Term, _ id: String, _ held: HeldCommand, _ client: ZooKeeperClient
    ) async -> Result<Void, any Error>? {
        let variables = [
            "ZK_LEADER_PATH": path, "ZK_LEADER_ID": id, "ZK_TERM": String(term.number),
            "ZK_SESSION_ID": client.state.session?.id.description,
        ]
        var failure: (any Error)?
        do { try await held.run(under: term, variables: variables) } catch { failure = error }
        // The session may have expired just before the command ended, so that another leader may have started it.
        if failure is CancellationError || failure is DeadlineReached || !term.isValid {
            // The status of an earlier term is not that of the program.
            if ProgramSignals.shared.endSignal.value == nil { held.record(nil) }
            return nil
        }
        if restart, !(failure is CommandRefusal) {
            Output.report("\(failure ?? CommandEnding.exited(0)); this node rejoins the election")
            held.record(nil)
            return nil
        }
        return failure.map { .failure($0) } ?? .success(())
    }

    /// Reports the terms and the positions in the queue; the log contains failures.
    private static func report(_ states: AsyncStream<LeaderState>) async {
        for await state in states where ProgramSignals.shared.endSignal.value == nil {
            switch state {
            case .leading, .waiting(position: (1...)?): Output.notice("\(state)")
            default: continue
            }
        }
    }
}

/// The options for leaders of different priorities.
struct LeaderPriorityOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: "If above 0, request the leadership from leaders of a lower priority. (default: 0)",
        transform: number(0...1_000_000))
    var priority = 0

    @Option(
        "The time in the queue before this participant requests the leadership.",
        in: .seconds(0)...DurationArgument.oneDay)
    var takeoverDelay = DurationArgument.seconds(30)

    /// Returns the configuration of a participant.
    ///
    /// - Parameter isRestarting: Whether to pause between terms that end because a command fails repeatedly.
    func configuration(isRestarting: Bool = false) -> LeaderConfiguration {
        var configuration = LeaderConfiguration()
        configuration.priority = priority
        configuration.takeoverDelay = takeoverDelay.duration
        if isRestarting { configuration.minimumTermDuration = .seconds(10) }
        return configuration
    }
}
