import CommandLineSupport
import Glibc
import ZooKeeper

/// One processed event, with times of the monotonic clock that all processes of a machine share.
struct EventRecord: Sendable, Equatable {
    /// The time immediately after the gate had admitted the event.
    var begin: Int64
    /// The time immediately before the event left the gate, at which its effect is written.
    var end: Int64
    /// The fencing token of the event's permit.
    var token: Int64

    static let size = 24

    /// The current monotonic time in nanoseconds, which also counts while a process is stopped.
    static var now: Int64 { SystemMonotonicClock().now.nanoseconds }
}

/// A log file of the events of a processor.
///
/// Each event is one system call, so that a process that is killed at any instant loses no logged event.
struct EventLog: ~Copyable, Sendable {
    private let descriptor: Int32

    /// Opens a log, and creates it if it does not exist.
    init(path: String) throws(FileError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError("open", path) }
    }

    deinit { close(descriptor) }

    /// Appends one event.
    func append(_ record: EventRecord) {
        withUnsafeBytes(of: record) { bytes in
            while write(descriptor, bytes.baseAddress, EventRecord.size) < 0, errno == EINTR {}
        }
    }

    /// Returns the events of a log, in the order in which they ended.
    static func records(at path: String) throws(FileError) -> [EventRecord] {
        let bytes = try readBytes(path)
        return bytes.withUnsafeBytes { buffer in
            (0..<buffer.count / EventRecord.size).map {
                buffer.loadUnaligned(fromByteOffset: $0 * EventRecord.size, as: EventRecord.self)
            }
        }
    }

    /// Returns the number of events in a log, without reading it.
    static func count(at path: String) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        return Int(status.st_size) / EventRecord.size
    }
}

/// The error if a file could not be used.
struct FileError: Error, CustomStringConvertible {
    var description: String

    init(description: String) {
        self.description = description
    }

    init(_ call: String, _ path: String) {
        description = "\(call) \(path): \(String(cString: strerror(errno)))"
    }
}

/// Returns the contents of a file.
func readBytes(_ path: String) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw FileError("read", path) }
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
    }
}

/// Replaces the content of a file, which is created if it does not exist.
func writeFile(_ text: String, to path: String) throws(FileError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError("open", path) }
    defer { close(descriptor) }
    guard Output.write(text, to: descriptor) == nil else { throw FileError("write", path) }
}
