import CommandGuard
import CommandLineSupport
import Glibc
import Synchronization
import SystemSupport
import ZooKeeper
import ZooKeeperRecipes

/// A command that a guard process has started; the guard kills the command if this process dies.
///
/// The command runs in a process session of its own, so it has no terminal. It inherits the descriptors that this
/// program was started with, and no others.
final class GuardedProcess: SignalledProcess {
    enum Order: Sendable {
        /// Sends SIGTERM to the command and its descendants, and SIGKILL after the grace.
        case terminate
        /// As ``terminate``, for a command that has paused: a stopped command is not continued, but killed.
        case terminatePaused
        case kill
        case stop
        case proceed
        /// Sets the instant until which the command may run.
        case deadline(Deadline)
        /// Sends a signal to the command alone, unless the deadline has passed; first sets a new deadline if there is one.
        case signal(Int32, Deadline?)
    }

    /// What the lines mean that the command writes.
    enum Lines: Sendable {
        case none
        /// Checkpoints, which the command writes to the file ZK_CHECKPOINT_FILE.
        case checkpoints
        /// Acknowledgements, which the command writes to the descriptor ZKRECIPES_ACK_FD.
        case acknowledgements
    }

    /// The instants at which the guard ends a command, unless it receives a later deadline.
    struct Deadline: Sendable, Equatable {
        /// The instant of SIGTERM.
        var terminate: MonotonicInstant
        /// The instant of SIGKILL, which also ends a grace that would last longer.
        var kill: MonotonicInstant

        /// The deadline of a command that needs no grant, because it has paused.
        static let never = Deadline(
            terminate: MonotonicInstant(nanoseconds: .max / 4), kill: MonotonicInstant(nanoseconds: .max / 4))

        fileprivate var code: CommandDeadline {
            CommandDeadline(terminate: terminate.nanoseconds, kill: kill.nanoseconds)
        }
    }

    private let name: String
    private let guardID: pid_t
    private let lines: Int32
    private let linesMeaning: Lines
    /// The state of the answers that the command writes; it is locked while they are taken out of the pipe.
    private let acknowledgements = Mutex(AcknowledgementReader())
    /// The socket for sending orders and receiving reports; `nil` after the command has ended.
    private let channel: Mutex<Int32?>
    private let mayContinue: @Sendable () -> Bool
    /// The memory from which the command reads its validity; `nil` if there is none.
    private let validity: ValidityMemory?
    private let commandID = Atomic<Int32>(0)

    /// Starts a command.
    ///
    /// - Parameters:
    ///   - words: The command and its arguments.
    ///   - variables: Changes of the environment; a `nil` value removes a variable.
    ///   - grace: The time from SIGTERM to SIGKILL.
    ///   - deadline: The first deadline, at which the guard ends the command even if this program is stopped.
    ///   - lines: What the lines mean that the command can write.
    ///   - token: The first token in the memory from which the command reads its validity.
    ///   - mayContinue: Returns whether a command that was stopped together with this program may continue.
    /// - Throws: ``CommandRefusal`` if the guard cannot be started.
    init(
        words: [String], variables: [String: String?], grace: Duration, deadline: Deadline, lines: Lines,
        token: FencingToken,
        mayContinue: @escaping @Sendable () -> Bool
    ) throws(CommandRefusal) {
        name = words.first ?? ""
        linesMeaning = lines
        self.mayContinue = mayContinue
        let inherited = ProgramDescriptors.inherited
        // One digit, because some shells cannot refer to descriptors with more.
        var numbers = (3...9).filter { !inherited.contains($0) }[...]
        let linesNumber = lines == .none ? 0 : numbers.popFirst() ?? 0
        let memory = numbers.popFirst().flatMap { ValidityMemory(number: $0) }
        memory?.publish(deadline.kill, token)
        var variables = variables
        variables["ZK_CHECKPOINT_FILE"] = .some(nil)
        variables["ZKRECIPES_ACK_FD"] = .some(nil)
        if linesNumber > 0, lines == .checkpoints { variables["ZK_CHECKPOINT_FILE"] = "/dev/fd/\(linesNumber)" }
        if linesNumber > 0, lines == .acknowledgements { variables["ZKRECIPES_ACK_FD"] = "\(linesNumber)" }
        variables["ZKRECIPES_VALIDITY_FD"] = .some(memory.map { "\($0.number)" })
        let changes = variables.map { name, value in value.map { "\(name)=\($0)" } ?? name }
        var command = GuardedCommand()
        let code = inherited.withUnsafeBufferPointer { inherited in
            let descriptors = CommandDescriptors(
                inherited: inherited.baseAddress, inheritedCount: Int32(inherited.count), linesNumber: linesNumber,
                validity: memory?.descriptor ?? -1, validityNumber: memory?.number ?? 0)
            return withArguments(words) { arguments in
                withCStrings(changes) { changes in
                    startGuardedCommand(arguments, changes, descriptors, grace.nanoseconds, deadline.code, &command)
                }
            }
        }
        validity = memory
        guard code == 0 else { throw CommandRefusal(name: name, code: code) }
        (guardID, self.lines) = (command.guard, command.lines)
        channel = Mutex(command.channel)
    }

    deinit {
        if lines >= 0 { close(lines) }
        channel.withLock { if let descriptor = $0 { _ = close(descriptor) } }
    }

    func stop() { send(.stop) }

    func proceed() { send(.proceed) }

    func kill() { send(.kill) }

    /// The process ID of the command; 0 before it has started.
    var id: Int32 { commandID.load(ordering: .acquiring) }

    /// Sends an order to the guard; it has no effect if the command has ended.
    ///
    /// - Returns: Whether the guard will receive the order.
    @discardableResult
    func send(_ order: Order) -> Bool {
        var message = CommandOrder()
        switch order {
        case .terminate: message.kind = Int64(CommandOrderTerminate)
        case .terminatePaused: message.kind = Int64(CommandOrderTerminatePaused)
        case .kill: message.kind = Int64(CommandOrderKill)
        case .stop: message.kind = Int64(CommandOrderStop)
        case .proceed:
            guard mayContinue() else { return false }
            message.kind = Int64(CommandOrderContinue)
        case .deadline(let deadline):
            message.kind = Int64(CommandOrderDeadline)
            message.deadline = deadline.code
        case .signal(let number, let deadline):
            message.kind = Int64(CommandOrderSignal)
            message.number = Int64(number)
            if let deadline { message.deadline = deadline.code }
        }
        let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
        return channel.withLock { channel in
            guard let channel else { return false }
            return Glibc.send(channel, &message, MemoryLayout<CommandOrder>.size, flags) > 0
        }
    }

    /// Writes the memory from which the command reads its validity.
    ///
    /// - Parameter deadline: The end of the validity; `nil` if the grant is not valid.
    func publish(_ deadline: MonotonicInstant?, _ token: FencingToken) {
        validity?.publish(deadline, token)
    }

    /// Whether the command handles, blocks or ignores a signal, which would otherwise end it.
    func isPrepared(for signal: Int32) -> Bool {
        guard id > 0, let text = readText("/proc/\(id)/status") else { return false }
        return text.split(separator: "\n").contains { line in
            let parts = line.split(whereSeparator: \.isWhitespace)
            guard parts.count == 2, ["SigBlk:", "SigIgn:", "SigCgt:"].contains(parts[0]) else { return false }
            return UInt64(parts[1], radix: 16).map { $0 & 1 << UInt64(signal - 1) != 0 } ?? false
        }
    }

    /// Expects an acknowledgement that the command writes from now on.
    ///
    /// - Parameters:
    ///   - word: The line that is the acknowledgement.
    ///   - request: The number of the request, which is higher than that of the request before.
    func expectAcknowledgement(_ word: String, of request: Int) {
        acknowledgements.withLock { reader in
            reader.expect(word, to: request, unread: unreadCount(lines))
        }
    }

    /// Waits until the command has ended, and blocks the calling thread.
    ///
    /// - Parameters:
    ///   - line: Called with each line that the command writes to its checkpoint file.
    ///   - acknowledged: Called with the number of each request that the command acknowledges.
    /// - Returns: How the command ended, and whether the guard ended it at its deadline.
    /// - Throws: ``CommandRefusal`` if the command could not be started; ``GuardLost`` if the guard was killed.
    func awaitEnd(
        _ line: (String) -> Void, acknowledged: (Int) -> Void = { _ in }
    ) throws -> (ending: CommandEnding, isAtDeadline: Bool) {
        guard let descriptor = channel.withLock({ $0 }) else { throw GuardLost() }
        defer { release() }
        var reader = LineReader(descriptor: lines)
        var command: pid_t?
        var refusal: Int32?
        var isAtDeadline = false
        while true {
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: reader.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&polled, 2, -1) > 0 else { continue }
            // At most one buffer, because a command that always writes must not keep this thread from the reports.
            if polled[1].revents != 0 {
                if linesMeaning == .acknowledgements {
                    if let request = takeAcknowledgement(&reader) { acknowledged(request) }
                } else {
                    reader.readLines(line)
                }
            }
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
            case CommandReportStarted:
                command = report.value
                commandID.store(report.value, ordering: .releasing)
            case CommandReportRefused: refusal = report.value
            case CommandReportDeadline: isAtDeadline = true
            default:
                if let refusal { throw CommandRefusal(name: name, code: refusal) }
                if linesMeaning == .checkpoints { reader.finish(line) }
                let signal = report.value & 0x7f
                return (signal == 0 ? .exited((report.value >> 8) & 0xff) : .signalled(signal), isAtDeadline)
            }
        }
    }

    private func takeAcknowledgement(_ reader: inout LineReader) -> Int? {
        acknowledgements.withLock { $0.receive(reader.read()) }
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

/// Memory that this program writes, and that a command reads as a file.
// Safe to share: the memory is only written with atomic operations, and unmapped in deinit.
private final class ValidityMemory: @unchecked Sendable {
    /// The descriptor of this program.
    let descriptor: Int32
    /// The descriptor of the command.
    let number: Int32
    private let memory: UnsafeMutablePointer<CommandValidity>

    init?(number: Int32) {
        var memory: UnsafeMutablePointer<CommandValidity>?
        let descriptor = createCommandValidity(&memory)
        guard descriptor >= 0, let memory else { return nil }
        (self.descriptor, self.number, self.memory) = (descriptor, number, memory)
    }

    deinit {
        close(descriptor)
        destroyCommandValidity(memory)
    }

    func publish(_ deadline: MonotonicInstant?, _ token: FencingToken) {
        publishCommandValidity(memory, deadline?.nanoseconds ?? 0, token.rawValue)
    }
}

/// Returns the text of a small file; `nil` if it cannot be read.
private func readText(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = read(file, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
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

    /// Reads available input of at most one buffer.
    mutating func read() -> ArraySlice<UInt8> {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while descriptor >= 0 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { break }
            guard count > 0 else {
                descriptor = -1
                break
            }
            return buffer[..<count]
        }
        return []
    }

    /// Reads available input of at most one buffer, and reports its complete lines.
    ///
    /// - Returns: The number of bytes.
    @discardableResult
    mutating func readLines(_ line: (String) -> Void) -> Int {
        let bytes = read()
        rest += bytes
        var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        rest = Array(lines.removeLast().prefix(Self.limit))
        for complete in lines { line(String(decoding: complete, as: UTF8.self)) }
        return bytes.count
    }

    /// Reads the input that is available now, including a last line without a newline.
    ///
    /// What other processes write meanwhile is not waited for.
    mutating func finish(_ line: (String) -> Void) {
        var left = unreadCount(descriptor)
        while left > 0, descriptor >= 0 {
            let count = readLines(line)
            guard count > 0 else { break }
            left -= count
        }
        if !rest.isEmpty { line(String(decoding: rest, as: UTF8.self)) }
    }
}

/// Returns the number of bytes in a pipe; 0 if it is none.
private func unreadCount(_ descriptor: Int32) -> Int {
    var count: Int32 = 0
    return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
}
