import Glibc
import Synchronization

/// What the program writes, with no buffer in between: a line is out when the call returns.
package enum Output {
    /// The error of the first line that could not be written to standard output.
    private static let failure = Mutex<Int32?>(nil)

    /// Writes one line to standard output, escaped.
    ///
    /// If the reader has gone, the program is asked to end. Any other failure is reported once, and the program goes on
    /// and fails in the end: see ``status(_:)``.
    package static func line(_ text: String) { writeResult(Text.escaped(text) + "\n") }

    /// Writes text to standard output, as ``line(_:)`` does.
    package static func writeResult(_ text: String) {
        guard let code = write(text, to: STDOUT_FILENO) else { return }
        guard code != EPIPE else { return ProgramSignals.shared.requestEndWithoutReader() }
        let isFirst = failure.withLock { failure in
            defer { failure = failure ?? code }
            return failure == nil
        }
        if isFirst { note("zkrecipes: cannot write to standard output: \(String(cString: strerror(code)))") }
    }

    /// Returns the status to exit with: that of a failure if there would be success with incomplete output.
    package static func status(_ status: Int32) -> Int32 {
        status == 0 && failure.withLock { $0 } != nil ? EXIT_FAILURE : status
    }

    /// Writes one line to standard error, escaped.
    package static func note(_ text: String) { write(Text.escaped(text) + "\n", to: STDERR_FILENO) }

    /// Writes several lines to standard error in one piece, each escaped.
    package static func note(lines text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        write(lines.map { Text.escaped(String($0)) + "\n" }.joined(), to: STDERR_FILENO)
    }

    /// Writes text to a descriptor; returns the error's number, or `nil` if all was written.
    @discardableResult
    package static func write(_ text: String, to descriptor: Int32) -> Int32? {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            switch count < 0 ? errno : 0 {
            case 0: rest = rest.dropFirst(count)
            case EINTR: continue
            case EAGAIN:
                // Whoever shares the descriptor has made it non-blocking.
                var polled = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&polled, 1, -1)
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

    /// Whether colours are welcome: https://no-color.org.
    package static var hasColours: Bool { getenv("NO_COLOR").map { $0.pointee == 0 } ?? true }

    /// The width and height of the terminal.
    package static var terminalSize: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Sends standard error to a file from now on.
    package static func redirectErrors(to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        dup2(descriptor, STDERR_FILENO)
        close(descriptor)
    }
}
