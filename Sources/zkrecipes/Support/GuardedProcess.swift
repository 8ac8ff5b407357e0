import CommandGuard
import CommandLineSupport
import Glibc
import Synchronization
import SystemSupport
import ZooKeeper

/// A command below a guard, a process that kills the command if this one dies.
///
/// The command has a session of its own and therefore no terminal. It keeps the descriptors that this program was
/// started with, and no other.
final class GuardedProcess: SignalledProcess {
    enum Order: Sendable {
        /// Sends SIGTERM to the command and its descendants, and SIGKILL after the grace.
        case terminate
        case kill
        case stop
        case proceed
        /// Moves the instant until which the command may run.
        case deadline(Deadline)
    }

    /// Until when a command may run unless it is told of a later instant.
    struct Deadline: Sendable, Equatable {
        /// When it gets SIGTERM.
        var terminate: MonotonicInstant
        /// When it gets SIGKILL, also during the grace.
        var kill: MonotonicInstant

        fileprivate var code: CommandDeadline {
            CommandDeadline(terminate: terminate.nanoseconds, kill: kill.nanoseconds)
        }
    }

    private let name: String
    private let guardID: pid_t
    private let checkpoints: Int32
    /// Orders go out and reports come in; `nil` after the end.
    private let channel: Mutex<Int32?>
    private let mayContinue: @Sendable () -> Bool

    /// Starts a command.
    ///
    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - variables: Changes of the environment; `nil` removes a variable.
    ///   - grace: The time from SIGTERM to SIGKILL.
    ///   - deadline: The first deadline: the guard ends the command at it, whatever has become of this program.
    ///   - takesCheckpoints: Whether the command can write to ZK_CHECKPOINT_FILE.
    ///   - mayContinue: Whether a command that was stopped together with this program may go on.
    /// - Throws: ``CommandRefusal`` if there can be no guard.
    init(
        words: [String], variables: [String: String?], grace: Duration, deadline: Deadline, takesCheckpoints: Bool,
        mayContinue: @escaping @Sendable () -> Bool
    ) throws(CommandRefusal) {
        name = words.first ?? ""
        self.mayContinue = mayContinue
        let inherited = ProgramDescriptors.inherited
        // One digit, because not every shell can name more.
        let number = takesCheckpoints ? (3...9).first { !inherited.contains($0) } ?? 0 : 0
        var variables = variables
        variables["ZK_CHECKPOINT_FILE"] = .some(number > 0 ? "/dev/fd/\(number)" : nil)
        let changes = variables.map { name, value in value.map { "\(name)=\($0)" } ?? name }
        var command = GuardedCommand()
        let code = withArguments(words) { arguments in
            withCStrings(changes) { changes in
                startGuardedCommand(
                    arguments, changes, inherited, Int32(inherited.count), number, grace.nanoseconds, deadline.code,
                    &command)
            }
        }
        guard code == 0 else { throw CommandRefusal(name: name, code: code) }
        (guardID, checkpoints) = (command.guard, command.checkpoints)
        channel = Mutex(command.channel)
    }

    deinit {
        if checkpoints >= 0 { close(checkpoints) }
        channel.withLock { if let descriptor = $0 { _ = close(descriptor) } }
    }

    func stop() { send(.stop) }

    func proceed() { send(.proceed) }

    func kill() { send(.kill) }

    /// Gives an order; nothing happens if the command has ended.
    func send(_ order: Order) {
        var message = CommandOrder()
        switch order {
        case .terminate: message.kind = Int64(CommandOrderTerminate)
        case .kill: message.kind = Int64(CommandOrderKill)
        case .stop: message.kind = Int64(CommandOrderStop)
        case .proceed:
            guard mayContinue() else { return }
            message.kind = Int64(CommandOrderContinue)
        case .deadline(let deadline):
            message.kind = Int64(CommandOrderDeadline)
            message.deadline = deadline.code
        }
        let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
        channel.withLock {
            if let descriptor = $0 { _ = Glibc.send(descriptor, &message, MemoryLayout<CommandOrder>.size, flags) }
        }
    }

    /// Waits for the end on the calling thread.
    ///
    /// - Parameter line: Is called with each line that the command writes to its checkpoint file.
    /// - Returns: How it ended, and whether the guard has ended it at its deadline.
    /// - Throws: ``CommandRefusal`` if the command could not be started; ``GuardLost``.
    func awaitEnd(_ line: (String) -> Void) throws -> (ending: CommandEnding, isAtDeadline: Bool) {
        guard let descriptor = channel.withLock({ $0 }) else { throw GuardLost() }
        defer { release() }
        var reader = LineReader(descriptor: checkpoints)
        var command: pid_t?
        var refusal: Int32?
        var isAtDeadline = false
        while true {
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: reader.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, -1) > 0 else { continue }
            if polled[1].revents != 0 { reader.read(line) }
            guard polled[0].revents != 0 else { continue }
            var report = CommandReport()
            let count = recv(descriptor, &report, MemoryLayout<CommandReport>.size, 0)
            // The guard may end with orders that it has not read, which is told once, before its last reports.
            if count < 0, errno == EINTR || errno == ECONNRESET { continue }
            guard count == MemoryLayout<CommandReport>.size else {
                // The kernel has killed the command itself; this is for those of its children that are in its group.
                if let command { Glibc.kill(-command, SIGKILL) }
                throw GuardLost()
            }
            switch Int(report.kind) {
            case CommandReportStarted: command = report.value
            case CommandReportRefused: refusal = report.value
            case CommandReportDeadline: isAtDeadline = true
            default:
                if let refusal { throw CommandRefusal(name: name, code: refusal) }
                reader.finish(line)
                let signal = report.value & 0x7f
                return (signal == 0 ? .exited((report.value >> 8) & 0xff) : .signalled(signal), isAtDeadline)
            }
        }
    }

    private func release() {
        channel.withLock {
            if let descriptor = $0 { _ = close(descriptor) }
            $0 = nil
        }
        while waitpid(guardID, nil, 0) < 0, errno == EINTR {}
        // As the first process of a container this one inherits what commands leave behind.
        if getpid() == 1 { while waitpid(-1, nil, WNOHANG) > 0 {} }
    }
}

/// The guard of a command was killed, and the command with it.
struct GuardLost: Error, CustomStringConvertible {
    var description: String { "the process that guards the command was killed, and the command with it" }
}

/// Calls `body` with a command's words, byte for byte as they are on the command line: strings are repaired where they
/// are not UTF-8.
private func withArguments<Result>(
    _ words: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let first = Int(CommandLine.argc) - words.count
    if first > 0, CommandLine.arguments.suffix(words.count) == words[...] {
        return body(UnsafePointer(CommandLine.unsafeArgv + first))
    }
    return withCStrings(words) { words in words.withUnsafeBufferPointer { body($0.baseAddress!) } }
}

/// The lines that come from a descriptor that does not block.
private struct LineReader {
    /// -1 after the end of the input.
    private(set) var descriptor: Int32
    private var rest: [UInt8] = []

    /// More than a checkpoint may have.
    private static let limit = 1 << 20

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Reads all that is there.
    mutating func read(_ line: (String) -> Void) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while descriptor >= 0 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else {
                descriptor = -1
                return
            }
            rest += buffer[..<count]
            var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            rest = Array(lines.removeLast().prefix(Self.limit))
            for complete in lines { line(String(decoding: complete, as: UTF8.self)) }
        }
    }

    /// Reads the rest, the last line also if nothing ends it.
    mutating func finish(_ line: (String) -> Void) {
        read(line)
        if !rest.isEmpty { line(String(decoding: rest, as: UTF8.self)) }
    }
}
