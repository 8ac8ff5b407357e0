import CommandLineSupport
import Glibc

/// An entry of the log of a window, which the operator writes to a file and to standard output.
enum WindowEntry: Sendable, Equatable {
    /// The operator is about to request the window.
    case asked(at: Int64)
    /// The task begins; all processors had paused this many nanoseconds after the request.
    case open(at: Int64, token: Int64, drained: Int64)
    /// The task has ended.
    case closed(at: Int64)
    /// The window has ended with an error.
    case failed(String)

    var line: String {
        switch self {
        case .asked(let at): "asked \(at)"
        case .open(let at, let token, let drained): "open \(at) \(token) \(drained)"
        case .closed(let at): "closed \(at)"
        case .failed(let why): "failed \(Text.escaped(why))"
        }
    }

    init?(line: String) {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int64($0) }
        switch (words.first, numbers.count) {
        case ("asked", 1): self = .asked(at: numbers[0])
        case ("open", 3): self = .open(at: numbers[0], token: numbers[1], drained: numbers[2])
        case ("closed", 1): self = .closed(at: numbers[0])
        case ("failed", _): self = .failed(String(line.dropFirst(7)))
        default: return nil
        }
    }

    /// Returns the entries of an operator's log.
    static func entries(at path: String) throws(FileError) -> [WindowEntry] {
        String(decoding: try readBytes(path), as: UTF8.self)
            .split(separator: "\n")
            .compactMap { WindowEntry(line: String($0)) }
    }
}

/// Writes entries to a file and to standard output.
struct WindowLog: ~Copyable, Sendable {
    private let descriptor: Int32

    init(path: String) throws(FileError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError("open", path) }
    }

    deinit { close(descriptor) }

    func append(_ entry: WindowEntry) {
        Output.write(entry.line + "\n", to: descriptor)
        Output.line(entry.line)
    }
}
