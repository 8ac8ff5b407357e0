import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Runs a command while holding a mutex.",
        usage: "zkrecipes lock PATH [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command receives its fencing token in ZK_FENCING_TOKEN and PATH in ZK_LOCK_PATH. \
            \(HeldCommand.variablesHelp(holding: "mutex"))

            \(HelpText.example("zkrecipes lock /locks/invoices --wait 30s --grace 1m -- ./send-invoices.sh"))

            \(HeldCommand.help(holding: "mutex"))

            \(HelpText.exitStatus([
                "121": "the mutex was not acquired in time (with --wait)",
                "122": "the mutex was lost",
            ]))
            \(HeldCommand.statusHelp)
            """)

    @Argument(
        help: "The znode of the mutex, such as /locks/invoices; it can be a Curator InterProcessMutex.",
        transform: { try parsePath($0, name: "PATH", example: "/locks/invoices") })
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Option(
        "Give up after waiting for this time; 0s does not join the queue. (default: wait without limit)",
        in: .seconds(0)...DurationArgument.oneDay)
    var wait: DurationArgument?

    @Option(help: "The name of the holder, which others see in the queue. (default: the command's name)")
    var owner: String?

    @Option("The time from SIGTERM to SIGKILL.", in: .seconds(0)...DurationArgument.oneDay)
    var grace = DurationArgument.seconds(10)

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        try HeldCommand.validate(words: command, usage: "zkrecipes lock PATH -- COMMAND [ARGUMENT...]")
    }

    func run() async throws {
        let (path, owner, wait) = (path, owner ?? command[0], wait?.duration)
        let held = HeldCommand(words: command, grace: grace.duration)
        let status: Int32
        do {
            try HeldCommand.requireExecutable(command[0])
            try await runProgram(with: connection) { client in
                let mutex = try DistributedMutex(client: client, path: path, id: owner)
                let body: @Sendable (Lease) async throws -> Void = { lease in
                    let variables = ["ZK_LOCK_PATH": path, "ZK_SESSION_ID": client.state.session?.id.description]
                    try await held.run(under: lease, variables: variables)
                }
                switch wait {
                case nil: try await mutex.withLock(body)
                case .zero?: try await mutex.tryWithLock(body)
                case let limit?: try await mutex.withLock(timeout: limit, body)
                }
            }
            status = 0
        } catch  where ZKRecipes.isRefusal(error) {
            throw error
        } catch {
            status = held.exitStatus(of: error, otherwise: (error as? RecipeError).flatMap { Self.codes[$0.code] })
        }
        if status != 0 { throw ExitCode(status) }
    }

    private static let codes: [RecipeError.Code: Int32] = [.timedOut: 121, .notAvailable: 121, .lost: 122]
}
