import ArgumentParser
package import Logging
import Synchronization
import ZooKeeper

/// The options for messages and logs on standard error.
package struct LogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Log messages of this level and above to standard error. (default: warning)",
            discussion: "trace, debug, info, notice, warning, error or critical.", valueName: "level"),
        transform: parseWords)
    package var logLevel = Logger.Level.warning

    @Option(
        help: ArgumentHelp(
            "The format of standard error: text, or json with one object per line. (default: text)",
            discussion: "An object has time, level, message and, if there is any, metadata.", valueName: "format"),
        transform: parseWords)
    package var logFormat = LogFormat.text

    @Flag(help: "Print only errors on standard error, and no progress.")
    package var quiet = false

    package init() {}

    /// Applies the options to all messages and loggers that follow.
    package func apply() {
        LogSettings.current.withLock { settings in
            settings.level = quiet ? max(logLevel, .error) : logLevel
            settings.format = logFormat
            settings.isQuiet = quiet
        }
    }
}

/// The format of messages and logs.
package enum LogFormat: String, Sendable, CaseIterable {
    case text, json
}

/// The settings of the program for messages and logs.
struct LogSettings: Sendable {
    /// The lowest level that is logged.
    var level = Logger.Level.warning
    var format = LogFormat.text
    /// Whether notices are left out.
    var isQuiet = false

    static let current = Mutex(LogSettings())
}

extension Logger {
    /// The program's logger, which writes to standard error, so that standard output contains only results.
    ///
    /// It logs warnings and above, unless `--log-level` or `--quiet` sets another level.
    package static var program: Logger {
        let settings = LogSettings.current.withLock { $0 }
        var logger = Logger(label: "zkrecipes") { label in
            switch settings.format {
            case .text: StreamLogHandler(label: label, stream: LogLines())
            case .json: JSONLogHandler()
            }
        }
        logger.logLevel = settings.level
        return logger
    }
}

/// Writes log lines to standard error, escaped.
private struct LogLines: TextOutputStream {
    func write(_ text: String) { Output.note(text.hasSuffix("\n") ? String(text.dropLast()) : text) }
}

/// Writes each log message to standard error as a JSON object.
private struct JSONLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    var metadataProvider = LoggingSystem.metadataProvider

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        all.merge(metadataProvider?.get() ?? [:]) { $1 }
        all.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error { all["error"] = "\(error)" }
        LogRecord(level: event.level, message: "\(event.message)", metadata: all).write()
    }
}

/// A message as a JSON object.
struct LogRecord: Encodable {
    var time = "\(Timestamp.now)"
    var level: String
    var message: String
    var metadata: [String: MetadataValue]?

    init(level: Logger.Level, message: String, metadata: Logger.Metadata = [:]) {
        self.level = level.rawValue
        self.message = message
        self.metadata = metadata.isEmpty ? nil : metadata.mapValues { MetadataValue(value: $0) }
    }

    /// Writes the object to standard error.
    func write() { Output.writeMessage(Text.json(self) + "\n") }

    struct MetadataValue: Encodable {
        var value: Logger.MetadataValue

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch value {
            case .string(let text): try container.encode(text)
            case .stringConvertible(let value): try container.encode("\(value)")
            case .array(let values): try container.encode(values.map { MetadataValue(value: $0) })
            case .dictionary(let values): try container.encode(values.mapValues { MetadataValue(value: $0) })
            }
        }
    }
}
