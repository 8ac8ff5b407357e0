import ArgumentParser
import ZooKeeper
import ZooKeeperRecipes

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Runs a command while a mutex is held.",
        usage: "zkrecipes lock PATH [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command finds its fencing token in ZK_FENCING_TOKEN and PATH in ZK_LOCK_PATH. When the mutex is lost, or \
            this program is told to end, the command and what it has started get SIGTERM, and SIGKILL after a grace; \
            when this program is killed, they are killed. While this program is stopped or the grace lasts, the command \
            goes on beside the next holder: what it writes to should refuse a token lower than one it has seen. The \
            command does not read from the terminal.

            Exit status: the command's, or 128 and the number of the signal that ended it; 64 an option or an argument \
            is not valid, 121 the mutex was not to be had in time (with --wait), 122 it was lost, 125 it failed in \
            another way, 126 and 127 as a shell has them: the command cannot be run, or is not there.
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
            try await held.run(token: lease.fencingToken, variables: ["ZK_LOCK_PATH": path])
        }
        let status: Int32
        do {
            try await runProgram(with: connection) { client in
                let mutex = try DistributedMutex(client: client, path: path, ownerName: owner)
                switch wait {
                case nil: try await mutex.withLock(body)
                case 0?: try await mutex.tryWithLock(body)
                case let seconds?: try await mutex.withLock(waitingAtMost: .seconds(seconds), body)
                }
            }
            status = 0
        } catch  where ZKRecipes.isRefusal(error) {
            throw error
        } catch {
            status = held.exitStatus(of: error, otherwise: (error as? LockError).flatMap { Self.codes[$0.code] })
        }
        if status != 0 { throw ExitCode(status) }
    }

    private static let codes: [LockError.Code: Int32] = [.timedOut: 121, .notAvailable: 121, .lost: 122]
}
