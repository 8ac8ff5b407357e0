import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LeaderRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Stands for election until interrupted, and prints where it stands.",
        discussion: """
            One line a change: waiting, leading with the term's number and its fencing token, failed with the reason. \
            SIGTERM, SIGINT, SIGQUIT and SIGHUP end the term and delete the candidate.

            \(ProgramSignals.statusHelp)
            """)

    @Argument(help: LeaderCommand.pathHelp, transform: LeaderCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "What names this participant to others: one word.", transform: parseName)
    var id: String

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "While leading, print a line every so many seconds: act, token, whether the term is valid, and the time.",
            discussion: "The time is in nanoseconds of the clock that goes on while a process is stopped.",
            valueName: "seconds"), transform: number(0.001...86_400, "seconds"))
    var actEvery: Double?

    @Option(
        parsing: .unconditional, help: "Over 0: ask leaders of a lower priority for their place.",
        transform: number(0...1_000_000))
    var priority = 0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "For how many seconds to wait in the queue before asking for the leader's place.", valueName: "seconds"),
        transform: seconds)
    var takeoverDelay = 30.0

    func run() async throws {
        let command = self
        do {
            try await runProgram(with: connection) { client in try await command.stand(client) }
        } catch is CancellationError {
            // Interrupted, which is how it ends.
        }
    }

    private func stand(_ client: ZooKeeperClient) async throws {
        var configuration = LeaderConfiguration()
        configuration.priority = priority
        configuration.takeoverDelay = .seconds(takeoverDelay)
        let pause = actEvery.map { Duration.seconds($0) }
        let selector = try LeaderSelector(client: client, path: path, id: id, configuration: configuration) { term in
            while true {
                guard let pause else { return try await OneShot<Void>().wait() }
                let (isValid, now) = (term.isValid, SystemMonotonicClock().now.nanoseconds)
                Output.line("act \(term.fencingToken) \(isValid ? "valid" : "invalid") \(now)")
                try await Task.sleep(for: pause)
            }
        }
        let states = selector.states
        let printer = Task { for await state in states { Output.line("\(state)") } }
        defer { printer.cancel() }
        try await selector.run()
        await printer.value
    }
}
