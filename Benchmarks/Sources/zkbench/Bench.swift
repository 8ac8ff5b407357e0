import Glibc
import Logging
import ZooKeeper
import ZooKeeperTestKit

/// The servers of a run.
struct Bench: Sendable {
    /// The connection string.
    var connect: String
    /// The server, if this process has started it.
    var server: TestServer?

    /// The session timeout of lines with one or two sessions.
    let session = Duration.milliseconds(environmentNumber("SESSION_MS") ?? 10_000)
    /// The session timeout of lines with many sessions.
    var longSession: Duration { max(session, .seconds(30)) }
    /// The session timeout of candidates for leadership.
    let failoverMilliseconds = environmentNumber("FAILOVER_MS") ?? 2_000

    init(connect: String, server: TestServer? = nil) {
        self.connect = connect
        self.server = server
    }

    func makeClient(session: Duration) throws -> ZooKeeperClient {
        try ZooKeeperClient(
            configuration: .init(connectionString: connect, sessionTimeout: session), logger: .errorsOnly)
    }

    /// Connects clients, runs a body with them, and closes their sessions.
    func withClients(
        _ count: Int, session: Duration, _ body: ([ZooKeeperClient]) async throws -> Void
    ) async throws {
        let clients = try (0..<count).map { _ in try makeClient(session: session) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in clients { group.addTask { try await client.run() } }
            for client in clients { try await client.waitUntilConnected(timeout: .seconds(60)) }
            try await body(clients)
            for client in clients { client.triggerGracefulShutdown() }
            try await group.waitForAll()
        }
    }

    /// Returns a path that no other run uses.
    func freshPath(_ what: String) -> String {
        "/zkbench-\(what)-\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
    }
}

extension Logger {
    static let errorsOnly: Logger = {
        var logger = Logger(label: "zkbench")
        logger.logLevel = .error
        return logger
    }()
}

/// Returns the time of the machine's monotonic clock in nanoseconds, which is the same in every process.
func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

private func environmentNumber(_ name: String) -> Int? {
    getenv(name).flatMap { Int(String(cString: $0)) }
}
