import ArgumentParser
import Glibc
import Subprocess
import Synchronization
import SystemPackage
import ZooKeeperRecipes

/// A command that did not succeed.
struct CommandFailure: Error {
    /// As a shell would tell it: the exit status, or 128 and the signal's number.
    var status: Int32
}

/// A command that runs while this process holds something: it is ended when that is lost, and it never outlives this
/// process.
final class HeldCommand: Sendable {
    private let words: [String]
    private let grace: Duration
    private let ended = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - grace: The time from SIGTERM to SIGKILL, when it has to end.
    init(words: [String], grace: Duration) {
        self.words = words
        self.grace = grace
    }

    /// How it ended, once it has.
    var status: Int32? { ended.withLock { $0 } }

    /// The status to end with after an error; what is not the command's own is explained.
    ///
    /// - Parameter otherwise: What stands for the error when it is about what was held; `nil` for 125.
    func exitStatus(of error: any Error, otherwise: Int32?) -> Int32 {
        switch error {
        case let error as CommandFailure: return error.status
        case is CancellationError: return status ?? 143
        default:
            Output.note("zkrecipes: \(error)")
            return otherwise ?? 125
        }
    }

    /// Throws what is wrong with a command or a grace from the command line.
    ///
    /// - Parameter usage: How it would be right.
    static func validate(words: [String], grace: Double, usage: String) throws {
        guard let name = words.first, !name.isEmpty else {
            throw ValidationError("There is no command: \(usage).")
        }
        try validate(seconds: grace, option: "--grace")
    }

    /// Throws what is wrong with a time from the command line.
    static func validate(seconds: Double?, option: String) throws {
        guard let seconds, !(0...86_400).contains(seconds) else { return }
        throw ValidationError("\(option) is \(seconds); it must be from 0 to 86400 seconds.")
    }

    /// Becomes the command; before that a shell forks off that kills the command's process group when the lifeline ends
    /// without a line, as it does when we are killed.
    ///
    /// It outlives the SIGTERM that the whole group gets, because we may be killed after that.
    private static let script = """
        (trap '' TERM; read -r _ <"$1" || { rm -rf -- "${1%/*}"; kill -9 -$$; }) </dev/null >/dev/null 2>&1 &
        shift
        exec "$@"
        """

    /// Runs the command until it ends; in a cancelled task it is terminated.
    ///
    /// - Parameters:
    ///   - token: Passed as ZK_FENCING_TOKEN.
    ///   - variables: What else the command finds in its environment.
    /// - Throws: ``CommandFailure`` when it did not succeed; `CancellationError` when it was terminated here.
    func run(token: FencingToken, variables: [String: String]) async throws {
        let lifeline = try Lifeline()
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: grace)
        ]
        var environment: [Environment.Key: String?] = ["ZK_FENCING_TOKEN": token.description]
        for (name, value) in variables { environment[Environment.Key(stringLiteral: name)] = value }
        // A process group that does not own the terminal would be stopped by reading from it.
        let input = isatty(STDIN_FILENO) == 1 ? try FileDescriptor.open("/dev/null", .readOnly) : .standardInput
        let result = try await Subprocess.run(
            .path("/bin/sh"), arguments: Arguments(["-c", Self.script, "zkrecipes", lifeline.path] + words),
            environment: .inherit.updating(environment), platformOptions: options,
            input: .fileDescriptor(input, closeAfterSpawningProcess: input != .standardInput),
            output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
            error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
        lifeline.end()
        let status =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        ended.withLock { $0 = status }
        try Task.checkCancellation()
        guard status == 0 else { throw CommandFailure(status: status) }
    }
}

/// A named pipe that only this process holds open for writing.
private final class Lifeline: Sendable {
    let path: String
    private let folder: TemporaryFolder
    private let descriptor: Int32

    init() throws(FileError) {
        folder = try TemporaryFolder()
        path = "\(folder.path)/lifeline"
        guard mkfifo(path, 0o600) == 0 else { throw FileError("mkfifo", path) }
        // For reading as well, so that opening it does not wait for the reader.
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open", path) }
    }

    deinit { close(descriptor) }

    /// Lets the reader go without harm.
    func end() { Output.write("\n", to: descriptor) }
}
