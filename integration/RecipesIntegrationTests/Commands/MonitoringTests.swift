import Glibc
import SystemSupport
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What monitoring and a service manager see of commands.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct MonitoringTests {
    private var connection: String { TestServer.current.connectionString }

    /// Starts a command that serves metrics at a free port, and returns the port.
    private func start(_ words: String...) async throws -> (TestProcess, Int) {
        let words = Array(words.prefix { $0 != "--" } + ["--metrics", "127.0.0.1:0"] + words.drop { $0 != "--" })
        let process = try ProgramRun.start(words, connect: connection)
        let line = try await process.line { $0.contains("serving /metrics") }
        return (process, try #require(line.split(separator: ":").last.flatMap { Int($0) }))
    }

    private func answer(_ path: String, _ port: Int) async throws -> String {
        try await onOwnThread {
            let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
            try connection.send(Array("GET \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
            return String(decoding: try connection.receiveAll(), as: UTF8.self)
        }
    }

    /// Waits until an answer contains a text.
    private func wait(for text: String, _ path: String, _ port: Int) async throws {
        while !(try await answer(path, port).contains(text)) { try await Task.sleep(for: .milliseconds(20)) }
    }

    @Test func `a gate is ready when it is registered, and its metrics show a window`() async throws {
        let (process, port) = try await start(
            "exclusive", "gate", "/monitoring/gate", "--id", "a", "--", "/bin/sh", "-c", "while :; do sleep 0.02; done")
        try await wait(for: "HTTP/1.1 200", "/ready", port)
        try await wait(for: "zookeeper_grants{recipe=\"gate\"} 1\n", "/metrics", port)
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await ExclusiveMode(client: client, path: "/monitoring/gate").withWindow(reason: "test") { _ in
                let (ready, text) = (try await answer("/ready", port), try await answer("/metrics", port))
                #expect(ready.hasPrefix("HTTP/1.1 200"))
                #expect(text.contains("zookeeper_grants_held{recipe=\"gate\"} 0\n"))
            }
        }
        try await wait(for: "zookeeper_gate_pause_seconds_count 1\n", "/metrics", port)
        let text = try await answer("/metrics", port)
        #expect(text.contains("zookeeper_grants{recipe=\"gate\"} 2\n"))
        #expect(text.contains("zookeeper_gate_drain_seconds_count 1\n"))
        #expect(text.contains("# HELP zookeeper_requests "))
        try process.terminate()
        _ = try await process.waitForExit()
    }

    @Test func `without a connection a command is alive, but not ready`() async throws {
        try await withTestServer { server in
            let process = try ProgramRun.start(
                ["leader", "run", "/monitoring/outage", "--id", "a", "--metrics", "127.0.0.1:0"],
                connect: server.connectionString)
            let line = try await process.line { $0.contains("serving /metrics") }
            let port = try #require(line.split(separator: ":").last.flatMap { Int($0) })
            try await wait(for: "HTTP/1.1 200", "/ready", port)
            await server.stop()
            try await wait(for: "HTTP/1.1 503", "/ready", port)
            #expect(try await answer("/ready", port).contains("there is no connection to the ensemble"))
            #expect(try await answer("/live", port).hasPrefix("HTTP/1.1 200"))
            await process.kill()
        }
    }

    @Test func `a port that is in use is an error before the command starts`() async throws {
        let (process, port) = try await start("lead", "/monitoring/port", "--id", "a", "--", "/bin/sleep", "600")
        let second = try await ProgramRun(
            ["lead", "/monitoring/port", "--metrics", "127.0.0.1:\(port)", "--", "/bin/echo", "started"],
            connect: connection)
        #expect(second.status == .exited(125) && second.lines.isEmpty, "\(second)")
        #expect(second.errors == ["zkrecipes: cannot serve --metrics 127.0.0.1:\(port): Address already in use"])
        try process.terminate()
        _ = try await process.waitForExit()
    }

    @Test func `a service manager receives the state and signs of life, and the command no variables of it`()
        async throws
    {
        let path = "/tmp/zkrecipes-notify-\(getpid())"
        let manager = try NotifySocket(path)
        let process = try ProgramRun.start(
            [
                "lock", "/monitoring/notify", "--", "/bin/sh", "-c",
                "env | grep -c -E 'NOTIFY|WATCHDOG'; exec sleep 600",
            ],
            connect: connection, environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"])
        try await process.line { $0 == "0" }
        try await manager.message { $0 == "READY=1" }
        try await manager.message { $0.hasPrefix("STATUS=connected (session 0x") }
        for _ in 0..<3 { try await manager.message { $0 == "WATCHDOG=1" } }
        // A frozen program sends no sign of life.
        try process.pause()
        manager.forget()
        try await Task.sleep(for: .milliseconds(500))
        #expect(manager.next() == nil)
        try process.resume()
        try await manager.message { $0 == "WATCHDOG=1" }
        try process.terminate()
        try await manager.message { $0.hasPrefix("STOPPING=1") }
        _ = try await process.waitForExit()
    }
}

/// The socket of a service manager.
private final class NotifySocket: Sendable {
    private let descriptor: Int32
    private let path: String

    init(_ path: String) throws {
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(code == 0)
    }

    deinit {
        close(descriptor)
        unlink(path)
    }

    /// A message that has arrived.
    func next() -> String? {
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    func forget() { while next() != nil {} }

    /// Waits for a message; messages before it are dropped.
    func message(where matches: (String) -> Bool) async throws {
        while true {
            if let message = next() {
                if matches(message) { return }
            } else {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}
