import CZooKeeper
import Logging
import Synchronization

/// The state that the C library has once per process: its log, its log level, the order of servers.
enum CLibrary {
    private static let logger = Mutex<Logger?>(nil)
    /// The number of handles that are being closed without ending their session; that requires the library's INFO
    /// lines.
    private static let keepers = Mutex(0)

    private static let setUp: Void = {
        zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR)
        // Servers are tried in the order of the endpoint.
        zoo_deterministic_conn_order(1)
    }()

    static func prepare(logger: Logger) {
        _ = setUp
        self.logger.withLock { $0 = logger }
    }

    /// Runs `body`, which closes a handle without ending its session, while the library writes its INFO lines.
    static func keepingSession(_ body: () -> Void) {
        keepers.withLock { count in
            count += 1
            if count == 1 { zoo_set_debug_level(ZOO_LOG_LEVEL_INFO) }
        }
        body()
        keepers.withLock { count in
            count -= 1
            if count == 0 { zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR) }
        }
    }

    static var isKeepingSessions: Bool { keepers.withLock { $0 > 0 } }

    static var logLevel: Int32 { zkb_log_level() }

    private static let separation = Mutex(())

    /// Runs `body`, in which the library separates a text with `strtok`; one call at a time.
    static func separatingText<Result>(_ body: () -> Result) -> Result { separation.withLock { _ in body() } }

    /// Forwards a line of the C library's log.
    ///
    /// Its errors are about connections, whose state the client reports itself; for a program they are debugging
    /// details.
    static func log(_ line: String) {
        guard let logger = logger.withLock({ $0 }) else { return }
        let parts = LibraryLogLine(line)
        let level: Logger.Level = parts.isProblem ? .debug : .trace
        logger.log(level: level, "\(parts.text)", metadata: ["zookeeper.c.function": "\(parts.function)"])
    }
}

/// A line of the C library's log without its time, process and thread, which the program's own log adds.
///
/// The library writes it as `2026-01-31 10:11:12,345:77(0x7f00):ZOO_ERROR@function@123: text`.
struct LibraryLogLine {
    var isProblem = true
    var function = ""
    var text: String

    init(_ line: String) {
        text = line
        let parts = line.split(separator: "@", maxSplits: 2, omittingEmptySubsequences: false)
        if parts.count == 3, parts[0].contains(":ZOO_"), let colon = parts[2].firstIndex(of: ":") {
            isProblem = parts[0].hasSuffix("ZOO_ERROR") || parts[0].hasSuffix("ZOO_WARN")
            function = String(parts[1])
            text = String(parts[2][parts[2].index(after: colon)...].drop { $0 == " " })
        }
        while text.last?.isNewline == true { text.removeLast() }
    }
}

/// The log callback of the C library: it is called on any thread, without a context.
func libraryDidLog(_ line: UnsafePointer<CChar>?) {
    guard let line = unsafe line else { return }
    unsafe CLibrary.log(String(cString: line))
}
