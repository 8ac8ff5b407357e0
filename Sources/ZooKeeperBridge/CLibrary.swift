import CZooKeeper
import Logging
import Synchronization

/// What the C library keeps once for the whole process: its log, its level, the order of servers.
enum CLibrary {
    private static let logger = Mutex<Logger?>(nil)
    /// How many handles are being closed without ending their session; that needs the library's INFO lines.
    private static let keepers = Mutex(0)

    private static let setUp: Void = {
        zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR)
        // The endpoint's order is the one to try.
        zoo_deterministic_conn_order(1)
    }()

    static func prepare(logger: Logger) {
        _ = setUp
        self.logger.withLock { $0 = logger }
    }

    /// Runs `body`, a close that leaves its session alive, while the library writes its INFO lines.
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

    /// Passes a line of the C library on.
    ///
    /// Its errors are news of connections, which the client reports itself: to a program they are debugging details.
    static func log(_ line: String) {
        guard let logger = logger.withLock({ $0 }) else { return }
        let parts = LibraryLogLine(line)
        let level: Logger.Level = parts.isProblem ? .debug : .trace
        logger.log(level: level, "\(parts.text)", metadata: ["zookeeper.c.function": "\(parts.function)"])
    }
}

/// A line of the C library's log without its clock, process and thread, which the program's own log adds.
///
/// It comes as `2026-01-31 10:11:12,345:77(0x7f00):ZOO_ERROR@function@123: text`.
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

/// The C library's log callback: it is given no context and comes on any thread.
func libraryDidLog(_ line: UnsafePointer<CChar>?) {
    guard let line = unsafe line else { return }
    unsafe CLibrary.log(String(cString: line))
}
