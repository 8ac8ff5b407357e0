import CommandGuard
import CommandLineSupport
import Glibc
import Synchronization
import SystemSupport
import ZooKeeper

/// A command that a guard process has started; the guard kills the command if this process dies.
///
/// The command runs in a process session of its own, so it has no terminal. It inherits the descriptors that this
/// program was started with, and no others.
final class GuardedProcess: SignalledProcess {
    enum Order: Sendable {
        /// Sends SIGTERM to the command and its descendants, and SIGKILL after the grace.
        case terminate
        case kill
        case stop
        case proceed
        /// Sets the instant until which the command may run.
        case deadline(Deadline)
    }

    /// The instants at which the guard ends a command, unless it receives a later deadline.
    struct Deadline: Sendable, Equatable {
        /// The instant of SIGTERM.
        var terminate: MonotonicInstant
        /// The instant of SIGKILL, which also ends a grace that would last longer.
        var kill: MonotonicInstant

        fileprivate var code: CommandDeadline {
            CommandDeadline(terminate: terminate.nanoseconds, kill: kill.nanoseconds)
        }
    }

    private let name: String
    private let guardID: pid_t
    private let checkpoints: Int32
    /// The socket for sending orders and receiving reports; `nil` after the command has ended.
    private let channel: Mutex<Int32?>
    private let mayContinue: @Sendable () -> Bool

    /// Starts a command.
    ///
    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - variables: Changes of the environment; a `nil` value removes a variable.
    ///   - grace: The time from SIGTERM to SIGKILL.
    ///   - deadline: The first deadline, at which the guard ends the command even if this program is stopped.
    ///   - takesCheckpoints: Whether the command can write to ZK_CHECKPOINT_FILE.
    ///   - mayContinue: Returns whether a command that was stopped together with this program may continue.
    /// - Throws: ``CommandRefusal`` if the guard cannot be started.
    init(
        words: [String], variables: [String: String?], grace: Duration, deadline: Deadline, takesCheckpoints: Bool,
        mayContinue: @escaping @Sendable () -> Bool
    ) throws(CommandRefusal) {
        name = words.first ?? ""
        self.mayContinue = mayContinue
        let inherited = ProgramDescriptors.inherited
        // One digit, because some shells cannot refer to descriptors with more.
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

    /// Sends an order to the guard; it has no effect if the command has ended.
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

    /// Waits until the command has ended, and blocks the calling thread.
    ///
    /// - Parameter line: Called with each line that the command writes to its checkpoint file.
    /// - Returns: How the command ended, and whether the guard ended it at its deadline.
    /// - Throws: ``CommandRefusal`` if the command could not be started; ``GuardLost`` if the guard was killed.
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
            // If the guard exits with unread orders, one receive fails, before its last reports can be received.
            if count < 0, errno == EINTR || errno == ECONNRESET { continue }
            guard count == MemoryLayout<CommandReport>.size else {
                // The kernel has killed the command. This kills its children that are in its process group.
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
        // As the first process of a container, this process inherits the orphaned processes of commands.
        if getpid() == 1 { while waitpid(-1, nil, WNOHANG) > 0 {} }
    }
}

/// The error if the guard of a command was killed, and the command with it.
struct GuardLost: Error, CustomStringConvertible {
    var description: String { "the process that guards the command was killed, and the command with it" }
}

/// Calls `body` with the words of a command, byte for byte as on the command line.
///
/// Swift strings would not preserve bytes that are not UTF-8.
private func withArguments<Result>(
    _ words: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let first = Int(CommandLine.argc) - words.count
    if first > 0, CommandLine.arguments.suffix(words.count) == words[...] {
        return body(UnsafePointer(CommandLine.unsafeArgv + first))
    }
    return withCStrings(words) { words in words.withUnsafeBufferPointer { body($0.baseAddress!) } }
}

/// Reads lines from a non-blocking descriptor.
private struct LineReader {
    /// The descriptor; -1 after the end of the input.
    private(set) var descriptor: Int32
    private var rest: [UInt8] = []

    /// The longest kept line in bytes, which is longer than the longest checkpoint.
    private static let limit = 1 << 20

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Reads all available input.
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

    /// Reads the remaining input, including a last line without a newline.
    mutating func finish(_ line: (String) -> Void) {
        read(line)
        if !rest.isEmpty { line(String(decoding: rest, as: UTF8.self)) }
    }
}
