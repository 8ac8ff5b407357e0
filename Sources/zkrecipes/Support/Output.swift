import Glibc

/// What the program writes, with no buffer in between: a line is out when the call returns.
enum Output {
    /// Writes one line to standard output, escaped.
    static func line(_ text: String) { write(Text.escaped(text) + "\n", to: STDOUT_FILENO) }

    /// Writes one line to standard error, escaped.
    static func note(_ text: String) { write(Text.escaped(text) + "\n", to: STDERR_FILENO) }

    /// Writes several lines to standard error in one piece, each escaped.
    static func note(lines text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        write(lines.map { Text.escaped(String($0)) + "\n" }.joined(), to: STDERR_FILENO)
    }

    /// Writes text to a descriptor; a reader that has gone is not our concern.
    static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Whether standard output is a terminal that understands control sequences.
    static var isTerminal: Bool {
        guard isatty(STDOUT_FILENO) == 1 else { return false }
        return getenv("TERM").map { String(cString: $0) } != "dumb"
    }

    /// Whether colours are welcome: https://no-color.org.
    static var hasColours: Bool { getenv("NO_COLOR").map { $0.pointee == 0 } ?? true }

    /// The width and height of the terminal.
    static var terminalSize: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Sends standard error to a file from now on.
    static func redirectErrors(to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        dup2(descriptor, STDERR_FILENO)
        close(descriptor)
    }
}
