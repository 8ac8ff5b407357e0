import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Runs a command while holding a mutex, a read or write lock, or a lease of a semaphore.",
        usage: """
            zkrecipes lock PATH [options] -- COMMAND [ARGUMENT...]
            zkrecipes lock release-request PATH [options]
            zkrecipes lock evict PATH [options]
            """,
        discussion: """
            `zkrecipes lock run --help` lists the options for running a command. The other commands are for operators.

            \(HelpText.example(
                "zkrecipes lock /locks/invoices --wait 30s --grace 1m -- ./send-invoices.sh",
                "zkrecipes lock release-request /locks/invoices --reason \"maintenance at noon\""))

            \(HelpText.exitStatus([
                "0": "success",
                "1": "`release-request`, `evict`: failure, such as no holder",
                "64": "invalid option or argument",
                "other": "`run`: see its help",
            ]))
            """,
        subcommands: [LockRunCommand.self, LockReleaseRequestCommand.self, LockEvictCommand.self],
        defaultSubcommand: LockRunCommand.self)

    /// The help for PATH in each subcommand.
    static let pathHelp: ArgumentHelp = """
        The znode of the lock, such as /locks/invoices; Curator's InterProcessMutex, InterProcessReadWriteLock and \
        InterProcessSemaphoreV2 can share it.
        """

    static func parse(path: String) throws -> String {
        try parsePath(path, name: "PATH", example: "/locks/invoices")
    }
}

struct LockRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Runs a command while holding the lock; `run` can be left out.",
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

    @Argument(help: LockCommand.pathHelp, transform: LockCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions
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
        try await held.runProgram(with: connection, monitoring, codes: Self.codes) { client, _ in
            try await kind.check(path, client)
            try await kind.withLock(client, path: path, id: id, wait: wait) { lease in
                let variables = ["ZK_LOCK_PATH": path, "ZK_SESSION_ID": client.state.session?.id.description]
                try await alongside({ await Self.reportRequests(to: lease, at: path) }) {
                    try await held.run(under: lease, variables: variables)
                }
            }
        }
    }

    /// Reports the requests to release the lock, which the command's program decides about.
    private static func reportRequests(to lease: Lease, at path: String) async {
        for await request in lease.releaseRequests {
            let (name, reason) = (request.requesterID, request.reason)
            Output.notice(
                "\(name.isEmpty ? "another process" : name) requests the release of \(path)"
                    + (reason.isEmpty ? "" : ": \(reason)"))
        }
    }

    private static let codes: [RecipeError.Code: Int32] = [.timedOut: 121, .notAvailable: 121, .lost: 122]
}
