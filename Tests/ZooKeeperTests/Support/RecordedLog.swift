import Logging
import Synchronization

@testable import ZooKeeper

/// A log that a test reads.
struct RecordedLog: LogHandler {
    struct Line: Sendable {
        var level: Logger.Level
        /// The message with its metadata.
        var text: String
    }

    private final class Lines: Sendable {
        let all = Mutex<[Line]>([])
        let count = Broadcast(0)
    }

    private let lines = Lines()
    var logLevel = Logger.Level.trace
    var metadata = Logger.Metadata()

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let text = "\(event.message) \(metadata.merging(event.metadata ?? [:]) { $1 })"
        let count = lines.all.withLock { all in
            all.append(Line(level: event.level, text: text))
            return all.count
        }
        lines.count.send(count)
    }

    /// The lines so far that satisfy a condition.
    func lines(where matches: (Line) -> Bool) -> [Line] { lines.all.withLock { $0.filter(matches) } }

    /// Waits for such a line.
    func line(where matches: (Line) -> Bool) async -> Line {
        for await _ in lines.count.follow() {
            if let line = lines(where: matches).first { return line }
        }
        preconditionFailure("a sequence that never ends has ended")
    }
}
