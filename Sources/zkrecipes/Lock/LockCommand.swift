import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Runs a command while holding a mutex, a read or write lock, or a lease of a semaphore.",
        usage: "zkrecipes lock PATH [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The lock is a mutex, unless an option selects another kind. Different kinds do not exclude each other, so \
            all programs must use the same kind at a path. This program exits with 64 if the participants at PATH use \
            another kind.

            The command receives its fencing token in ZK_FENCING_TOKEN and PATH in ZK_LOCK_PATH. \
            \(HeldCommand.variablesHelp(holding: "lock"))

            \(HelpText.example(
                "zkrecipes lock /locks/invoices --wait 30s --grace 1m -- ./send-invoices.sh",
                "zkrecipes lock /locks/catalogue --read -- ./export.sh",
                "zkrecipes lock /limits/exports --semaphore 3 -- ./export.sh"))

            \(HeldCommand.help(holding: "lock"))

            \(HelpText.exitStatus([
                "121": "the lock was not acquired in time (with --wait)",
                "122": "the lock was lost",
            ]))
            \(HeldCommand.statusHelp)
            """)

    @Argument(
        help: """
            The znode of the lock, such as /locks/invoices; Curator's InterProcessMutex, InterProcessReadWriteLock and \
            InterProcessSemaphoreV2 can share it.
            """,
        transform: { try parsePath($0, name: "PATH", example: "/locks/invoices") })
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var kinds: LockKindOptions

    @Option(
        "Give up after waiting for this time; 0s does not join the queue. (default: wait without limit)",
        in: .seconds(0)...DurationArgument.oneDay)
    var wait: DurationArgument?

    @Option(
        help: "The ID of the holder, which others see in the queue. (default: the command's name)",
        transform: parseLabel)
    var id: String?

    @OptionGroup var commandLine: CommandOptions

    func validate() throws {
        try commandLine.requireCommand(usage: "zkrecipes lock PATH -- COMMAND [ARGUMENT...]")
    }

    func run() async throws {
        let (path, id, wait, kind) = (path, id ?? commandLine.command[0], wait?.duration, kinds.kind)
        let held = commandLine.held
        try await held.runProgram(with: connection, codes: Self.codes) { client in
            try await kind.check(path, client)
            try await kind.withLock(client, path: path, id: id, wait: wait) { lease in
                let variables = ["ZK_LOCK_PATH": path, "ZK_SESSION_ID": client.state.session?.id.description]
                try await held.run(under: lease, variables: variables)
            }
        }
    }

    private static let codes: [RecipeError.Code: Int32] = [.timedOut: 121, .notAvailable: 121, .lost: 122]
}
