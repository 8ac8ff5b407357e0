import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Runs a command while a mutex is held.",
        usage: "zkrecipes lock PATH [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command gets its fencing token in ZK_FENCING_TOKEN and PATH in ZK_LOCK_PATH.

            \(HeldCommand.help(holding: "mutex"))

            Exit status: 121 the mutex was not acquired in time (with --wait); 122 it was lost; \(HeldCommand.statusHelp)
            """)

    @Argument(
        help: "The mutex's znode, such as /locks/invoices; also one of JVM processes' InterProcessMutex.",
        transform: { try parsePath($0, name: "PATH", example: "/locks/invoices") })
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Give up after so many seconds; 0 takes no place in the queue. Waits without limit by default.",
            valueName: "seconds"), transform: seconds)
    var wait: Double?

    @Option(help: "Who holds the mutex or waits for it, for people who look; the command's name by default.")
    var owner: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The seconds from SIGTERM to SIGKILL.", valueName: "seconds"),
        transform: seconds)
    var grace = 10.0

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        try HeldCommand.validate(
            words: command, grace: grace, usage: "zkrecipes lock PATH -- COMMAND [ARGUMENT...]")
    }

    func run() async throws {
        let (path, owner, wait) = (path, owner ?? command[0], wait)
        let held = HeldCommand(words: command, grace: .seconds(grace))
        let body: @Sendable (Lease) async throws -> Void = { lease in
            try await held.run(under: lease, variables: ["ZK_LOCK_PATH": path])
        }
        let status: Int32
        do {
            try HeldCommand.requireExecutable(command[0])
            try await runProgram(with: connection) { client in
                let mutex = try DistributedMutex(client: client, path: path, id: owner)
                switch wait {
                case nil: try await mutex.withLock(body)
                case 0?: try await mutex.tryWithLock(body)
                case let seconds?: try await mutex.withLock(timeout: .seconds(seconds), body)
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
