import ArgumentParser
import Glibc
import Logging
import Synchronization

/// The output of the program, which a thread of its own writes: no task waits for a reader unless it asks for that.
package enum Output {
    /// The error number of the first failed write to standard output.
    private static let failure = Mutex<Int32?>(nil)
    /// Whether the first dropped result has been reported.
    private static let hasReportedDrop = Atomic(false)
    private static let queue = OutputQueue(results: ProgramDescriptors.results, messages: STDERR_FILENO) {
        stream, code in
        if stream == .results { handleFailure(code) }
    }

    /// Writes one line to standard output, escaped, without waiting for it.
    ///
    /// If the reader has closed the pipe, the program is requested to end. Any other failure is reported once; the
    /// program continues, and its exit status is a failure. The same is true if the reader does not read and 1 MiB of
    /// output waits for it: the line is then dropped.
    package static func line(_ text: String) { writeResult(Text.escaped(text) + "\n") }

    /// Writes text to standard output, as ``line(_:)`` does.
    package static func writeResult(_ text: String) {
        guard !queue.append(text, to: .results), !queue.isEnding else { return }
        guard !hasReportedDrop.exchange(true, ordering: .relaxed) else { return }
        report("the reader of standard output does not read it: lines are dropped until it does")
    }

    /// Clears the terminal.
    package static func clearScreen() { writeResult("\u{1b}[H\u{1b}[2J") }

    /// Writes lines to standard output, each escaped.
    ///
    /// Instead of dropping lines, it waits for a reader that is slow, unless the task is cancelled. It writes no more
    /// lines once the output cannot be written.
    package static func results(_ lines: some Sequence<String>) async {
        for text in lines {
            guard isWritable else { return }
            await queue.waitForRoom()
            line(text)
        }
    }

    /// Waits until all results have been written, or until the task is cancelled.
    ///
    /// - Throws: `ExitCode` if they could not be written, which has been reported.
    package static func requireWritten() async throws {
        await queue.waitUntilWritten()
        guard failure.withLock({ $0 }) == nil else { throw ExitCode.failure }
    }

    /// Whether standard output can be written, as far as the program knows.
    private static var isWritable: Bool { failure.withLock { $0 } == nil && !queue.isWithoutReader }

    /// Handles a failed write to standard output, on the writing thread.
    private static func handleFailure(_ code: Int32) {
        guard code != EPIPE else { return ProgramSignals.shared.requestEndWithoutReader() }
        let isFirst = failure.withLock { failure in
            defer { failure = failure ?? code }
            return failure == nil
        }
        if isFirst { report("cannot write to standard output: \(String(cString: strerror(code)))") }
    }

    /// Waits for no reader any more, because a signal ends the program: see ``finish(with:)``.
    static func end() { queue.end() }

    /// Waits until all output has been written; after a signal for at most one second.
    ///
    /// - Returns: The exit status: a failure instead of a success if some output was not written.
    static func finish(with status: Int32) async -> Int32 {
        let isComplete = await queue.finish()
        guard status == 0 else { return status }
        return isComplete && !queue.hasDropped && failure.withLock { $0 } == nil ? EXIT_SUCCESS : EXIT_FAILURE
    }

    /// Writes one line to standard error, escaped.
    package static func note(_ text: String) { writeMessage(Text.escaped(text) + "\n") }

    /// Writes text to standard error as it is, without waiting for it.
    static func writeMessage(_ text: String) { queue.append(text, to: .messages) }

    /// Writes a message about an error to standard error, escaped and with the program's name in front.
    package static func report(_ text: String) { write(message: text, .error) { note("\(programName): \(text)") } }

    /// Writes a message of several lines about an error to standard error in one piece, with the program's name in
    /// front.
    ///
    /// Each line is escaped.
    package static func report(lines text: String) {
        write(message: text, .error) { note(lines: "\(programName): \(text)") }
    }

    /// Writes a message about the progress of this program to standard error, unless `--quiet` is set.
    ///
    /// It is escaped, and has the program's name in front.
    package static func notice(_ text: String) { write(message: text, .notice) { note("\(programName): \(text)") } }

    /// Writes a message of several lines about the progress of this program to standard error in one piece.
    ///
    /// Each line is escaped. Nothing is written if `--quiet` is set.
    package static func notice(lines text: String) {
        write(message: text, .notice) { note(lines: "\(programName): \(text)") }
    }

    /// Writes a message of the given format, unless it is a notice of a quiet program.
    private static func write(message: String, _ level: Logger.Level, asText write: () -> Void) {
        let settings = LogSettings.current.withLock { $0 }
        guard level >= .error || !settings.isQuiet else { return }
        switch settings.format {
        case .text: write()
        case .json: LogRecord(level: level, message: message).write()
        }
    }

    /// The name in front of all messages, which is the same for both programs: `zkrecipes` starts the other one.
    package static let programName = "zkrecipes"

    /// Writes several lines to standard error in one piece, each escaped.
    package static func note(lines text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        writeMessage(lines.map { Text.escaped(String($0)) + "\n" }.joined())
    }

    /// Writes text to a file, and blocks the calling thread until it is written.
    ///
    /// - Returns: The error number, or `nil` if everything was written.
    @discardableResult
    package static func write(_ text: String, to descriptor: Int32) -> Int32? {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            switch count < 0 ? errno : 0 {
            case 0: rest = rest.dropFirst(count)
            case EINTR: continue
            case let code: return code
            }
        }
        return nil
    }

    /// Whether standard output is a terminal that understands control sequences.
    package static var isTerminal: Bool {
        guard isatty(STDOUT_FILENO) == 1 else { return false }
        return getenv("TERM").map { String(cString: $0) } != "dumb"
    }

    /// Whether to print colours: https://no-color.org.
    package static var hasColours: Bool { getenv("NO_COLOR").map { $0.pointee == 0 } ?? true }

    /// The width and height of the terminal; 80 by 24 if they are unknown.
    package static var terminalSize: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Redirects standard error to a file; nothing changes if the file cannot be opened.
    package static func redirectErrors(to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        dup2(descriptor, STDERR_FILENO)
        close(descriptor)
    }
}
