import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LeaderRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Joins a leader election until a signal, and prints its state.",
        discussion: """
            Prints one line per change: waiting, with the number of candidates ahead; leading, with the number of the \
            term and its fencing token; failed, with the reason; stopped. SIGTERM ends the term and deletes the \
            candidate. \(HelpText.signals)

            It runs no command: `zkrecipes lead` does, while this node leads.

            \(HelpText.example("zkrecipes leader run /app/leader --id web-1 --act-every 1s"))

            \(HelpText.statusUntilSignal)
            """)

    @Argument(help: LeaderCommand.pathHelp, transform: LeaderCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions

    @Option(help: "The name of this participant, without white space.", transform: parseName)
    var id: String

    @Option(
        "While leading, print a line at this interval: act, token, valid or invalid, and the monotonic time in ns.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var actEvery: DurationArgument?

    @OptionGroup var priorities: LeaderPriorityOptions

    func run() async throws {
        let command = self
        do {
            try await monitoring.runProgram(with: connection) { client, readiness in
                try await command.stand(client, readiness)
            }
        } catch is CancellationError {
            // A signal is the normal end.
        }
    }

    private func stand(_ client: ZooKeeperClient, _ readiness: Readiness) async throws {
        let pause = actEvery?.duration
        let selector = try LeaderSelector(
            client: client, path: path, id: id, configuration: priorities.configuration()
        ) { term in
            while true {
                guard let pause else { return try await OneShot<Void>().wait() }
                let (isValid, now) = (term.isValid, SystemMonotonicClock().now.nanoseconds)
                Output.line("act \(term.fencingToken) \(isValid ? "valid" : "invalid") \(now)")
                try await Task.sleep(for: pause)
            }
        }
        readiness.require(participationOf: selector)
        let states = selector.states
        let printer = Task {
            // A leader that leaves is in the state `waiting` until its candidate is deleted; it will not lead again.
            for await state in states where !(state.isWaiting && ProgramSignals.shared.endSignal.value != nil) {
                Output.line("\(state)")
            }
        }
        defer { printer.cancel() }
        try await alongside({ await selector.warnAboutSharedID(id, client) }) { try await selector.run() }
        await printer.value
    }
}

extension Readiness {
    /// Adds the condition that a participant is in its election, or about to join it.
    func require(participationOf selector: LeaderSelector) {
        require { [weak selector] in
            selector?.state.failure.map { "this node is not in the election: \($0)" }
        }
    }
}
