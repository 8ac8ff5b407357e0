import Glibc
import Synchronization
import SystemSupport

/// A process that a test starts, observes, freezes and kills, such as a program of the package under test.
///
/// The process ends with this process, however this process ends, or when the last reference to this object is
/// released. Its standard input is empty by default. Its standard error is that of this process. Signals reach the
/// program directly, with no shell in between.
public final class TestProcess: Sendable, CustomStringConvertible {
    /// The command line of the process, for messages.
    public let description: String

    private let child: ChildProcess
    private let output = Observed(Output())
    /// This side of the standard input of the process, if it has one.
    private let input: ProcessInput?

    fileprivate struct Output: Sendable {
        var lines: [String] = []
        var hasEnded = false
    }

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - executable: The path of the program; see ``path(ofProduct:)`` for programs of the package under test.
    ///   - arguments: The arguments after the program's name.
    ///   - environment: The variables that are added to the environment of this process.
    ///   - takesInput: Whether ``send(line:)`` can write to the standard input of the program. The input ends when this
    ///     object is released.
    /// - Throws: ``TestKitError`` with code `.system` if the process cannot be created, or `.startFailed` if the
    ///   program does not exist or cannot be executed.
    public init(
        _ executable: String, arguments: [String] = [], environment: [String: String] = [:], takesInput: Bool = false
    ) throws {
        guard access(executable, X_OK) == 0 else {
            throw TestKitError(.startFailed, "\(executable) is no program that can be run")
        }
        let (reader, writer) = try Self.socketPair()
        defer { close(writer) }
        var input: (reader: Int32, writer: Int32)?
        defer { if let input { close(input.reader) } }
        do {
            if takesInput { input = try Self.socketPair() }
            self.child = try ChildProcess.spawn(
                ChildProcess.Launch(
                    executable: executable, arguments: arguments, environment: environment,
                    standardInput: input?.reader, standardOutput: writer, standardError: 2))
        } catch {
            close(reader)
            if let input { close(input.writer) }
            throw error
        }
        self.input = input.map { ProcessInput($0.writer) }
        self.description = ([executable] + arguments).joined(separator: " ")
        let output = self.output
        detachThread { Self.read(reader, into: output) }
    }

    deinit { self.child.send(SIGKILL) }

    private static func socketPair() throws -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw TestKitError.system("socketpair") }
        return (ends[0], ends[1])
    }

    /// Returns the path of a program that was built together with the running tests.
    ///
    /// SwiftPM puts the programs and the tests into one folder.
    /// - Parameter name: The name of the executable product.
    public static func path(ofProduct name: String) -> String { siblingProgram(name) }

    /// The process ID, valid while the process is running.
    public var id: Int32 { self.child.id }
    /// The exit status, or `nil` while the process is running.
    public var exitStatus: ExitStatus? { self.child.exitStatus }

    /// The lines that the process writes to its standard output, from its start to its end.
    ///
    /// Each iteration starts with the first line. All lines are kept in memory.
    public var lines: Lines { Lines(output: self.output) }

    /// Writes a line to the standard input of the process.
    ///
    /// Send only few and short lines. If the input has no room for a line, this method blocks the calling thread.
    ///
    /// - Parameter line: The line without its terminator.
    /// - Throws: ``TestKitError`` with code `.misuse` if the process takes no input or has ended.
    public func send(line: String) throws {
        guard let input = self.input else { throw TestKitError(.misuse, "\(self) takes no input") }
        guard input.write(Array("\(line)\n".utf8)) else { throw TestKitError(.misuse, "\(self) has ended") }
    }

    /// Freezes the process (SIGSTOP).
    ///
    /// The process no longer runs when this method returns.
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the process has ended.
    public func pause() throws { try self.require { $0.freeze() } }

    /// Resumes a frozen process (SIGCONT).
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the process has ended.
    public func resume() throws { try self.require { $0.send(SIGCONT) } }

    /// Asks the process to terminate (SIGTERM).
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the process has ended.
    public func terminate() throws { try self.require { $0.send(SIGTERM) } }

    /// Interrupts the process (SIGINT), as a terminal does.
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the process has ended.
    public func interrupt() throws { try self.require { $0.send(SIGINT) } }

    /// Kills the process (SIGKILL) and waits until it has ended.
    ///
    /// - Returns: The exit status.
    @discardableResult
    public func kill() async -> ExitStatus {
        self.child.send(SIGKILL)
        return await self.child.end()
    }

    /// Waits until the process has ended.
    ///
    /// - Returns: The exit status.
    /// - Throws: `CancellationError` if the task is cancelled. The process continues.
    @discardableResult
    public func waitForExit() async throws -> ExitStatus { try await self.child.waitForEnd() }

    /// Waits for a line of the standard output and returns the first line that matches.
    ///
    /// Earlier lines count as well.
    /// - Parameter matches: A closure that decides whether a line matches.
    /// - Returns: The first line that matches.
    /// - Throws: ``TestKitError`` with code `.noResponse` if the output ends without such a line; `CancellationError`.
    @discardableResult
    public func line(where matches: @escaping @Sendable (String) -> Bool) async throws -> String {
        let found = try await self.output.first { output -> String?? in
            if let line = output.lines.first(where: matches) { return .some(line) }
            return output.hasEnded ? .some(nil) : nil
        }
        guard let found else { throw TestKitError(.noResponse, "\(self): the output ended without the line") }
        return found
    }

    private func require(_ action: (ChildProcess) -> Bool) throws {
        guard action(self.child) else { throw TestKitError(.misuse, "\(self) has ended") }
    }

    private static func read(_ source: Int32, into output: Observed<Output>) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var rest: [UInt8] = []
        while true {
            let count = Glibc.read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            rest += buffer[..<count]
            var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            rest = Array(lines.removeLast())
            let complete = lines.map { String(decoding: $0, as: UTF8.self) }
            output.update { $0.lines += complete }
        }
        close(source)
        let last = rest.isEmpty ? [] : [String(decoding: rest, as: UTF8.self)]
        output.update {
            $0.lines += last
            $0.hasEnded = true
        }
    }

    /// The lines of a process's standard output.
    public struct Lines: AsyncSequence, Sendable {
        /// A line without its terminator.
        public typealias Element = String
        /// The only failure is `CancellationError`.
        public typealias Failure = any Error

        fileprivate let output: Observed<Output>

        /// Creates an iterator that starts with the first line.
        public func makeAsyncIterator() -> Iterator { Iterator(output: self.output) }

        /// An iterator over the lines.
        public struct Iterator: AsyncIteratorProtocol {
            fileprivate let output: Observed<Output>
            private var index = 0

            fileprivate init(output: Observed<Output>) { self.output = output }

            /// Waits for the next line and returns it, or `nil` after the last line.
            ///
            /// - Throws: `CancellationError`.
            public mutating func next() async throws -> String? {
                let index = self.index
                self.index += 1
                return try await self.output.first { output -> String?? in
                    if index < output.lines.count { return .some(output.lines[index]) }
                    return output.hasEnded ? .some(nil) : nil
                }
            }
        }
    }
}

/// This side of a process's standard input, which is closed when this object is released.
private final class ProcessInput: Sendable {
    private let descriptor: Mutex<Int32>

    init(_ descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    deinit { self.descriptor.withLock { _ = close($0) } }

    /// Writes bytes without mixing the bytes of several calls, and returns `false` if the process no longer reads.
    func write(_ bytes: [UInt8]) -> Bool {
        self.descriptor.withLock { descriptor in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }
}
