import Glibc
import ServiceLifecycle
import Synchronization
import SystemSupport
import ZooKeeper

/// The service manager that has started the program and expects its notifications, such as systemd: see `sd_notify(3)`.
package struct ServiceManager: Sendable {
    /// The path of the manager's socket; an abstract name begins with `@`.
    private let socket: String
    /// The time after which the manager ends a program that has sent no sign of life; `nil` if it expects none.
    package let watchdogTimeout: Duration?

    private static let variables = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
    private static let found = Mutex<ServiceManager?>(nil)

    /// The manager of this process; `nil` if there is none.
    package static var inherited: ServiceManager? { found.withLock { $0 } }

    /// Finds the manager, and removes its variables, so that commands do not receive them.
    ///
    /// Call this before the program starts a thread.
    package static func prepare() {
        let manager = ServiceManager(environment: inheritedEnvironment(), processID: getpid())
        found.withLock { $0 = manager }
        for name in variables { unsetenv(name) }
    }

    /// Reads the variables that a manager sets.
    ///
    /// - Returns: `nil` if there is no manager, or if its socket cannot be used.
    package init?(environment: [String: String], processID: Int32) {
        guard let socket = environment["NOTIFY_SOCKET"], socket.hasPrefix("/") || socket.hasPrefix("@"),
            socket.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path)
        else { return nil }
        self.socket = socket
        let isForAnother = environment["WATCHDOG_PID"].map { $0 != "\(processID)" } ?? false
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int64($0) } ?? 0
        watchdogTimeout = microseconds > 0 && !isForAnother ? .microseconds(microseconds) : nil
    }

    /// Sends assignments such as `READY=1`, one in each line, without waiting for the manager.
    package func notify(_ lines: String...) {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let isAbstract = socket.hasPrefix("@")
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: socket.utf8)
            if isAbstract { path[0] = 0 }
        }
        // The length of an abstract name is a part of it; a path ends with a zero byte.
        let pathLength = socket.utf8.count + (isAbstract ? 0 : 1)
        let length = MemoryLayout<sockaddr_un>.size - MemoryLayout.size(ofValue: address.sun_path) + pathLength
        let message = Array(lines.joined(separator: "\n").utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(
                    descriptor, message, message.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT), address,
                    socklen_t(length))
            }
        }
    }

    /// Runs the operation of a program whose client is connected, and reports its state to the manager.
    func reporting<Result: Sendable>(
        _ client: ZooKeeperClient, _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        notify("READY=1")
        defer { notify("STOPPING=1", "STATUS=stopping") }
        return try await alongside({
            for await state in client.states where !Task.isCancelled { notify("STATUS=\(state)") }
        }) {
            try await withTaskCancellationHandler {
                try await operation()
            } onCancel: {
                notify("STOPPING=1", "STATUS=stopping")
            }
        }
    }

    /// Returns the service that sends signs of life while the upkeep of a client's session is alive; `nil` if the
    /// manager expects none.
    func watchdog(for client: ZooKeeperClient) -> (any Service)? {
        watchdogTimeout.map { Watchdog(manager: self, client: client, pause: $0 / 2) }
    }
}

private struct Watchdog: Service {
    let manager: ServiceManager
    let client: ZooKeeperClient
    let pause: Duration

    func run() async {
        let clock = SystemMonotonicClock()
        _ = try? await cancelWhenGracefulShutdown {
            while true {
                // Each turn needs the cooperative pool and the client's own loop: a timer alone would prove nothing.
                try await client.awaitUpkeep()
                manager.notify("WATCHDOG=1")
                try await clock.sleep(until: clock.now + pause)
            }
        }
    }
}
