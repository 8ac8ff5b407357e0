import Foundation
import Glibc
import Testing
import ZooKeeper
import ZooKeeperTestKit

@Suite(.timeLimit(.minutes(3)))
struct TestServerTests {
    @Test func `a server serves, counts, and is gone afterwards`() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        var process: Int32 = 0
        try await withTestServer { server in
            print("a server was ready after \(clock.now - start)")
            #expect(await server.state() == .standalone)
            let counters = try await server.counters()
            #expect(counters.znodeCount > 0)
            #expect(counters.watchCount == 0)
            #expect(counters.ephemeralCount == 0)
            #expect(counters.values["zk_min_session_timeout"] == nil || counters["zk_min_session_timeout"] == 1_000)
            #expect(try await server.connections().count == 1)
            process = try #require(server.processID)
        }
        #expect(kill(process, 0) == -1 && errno == ESRCH)
    }

    @Test func `a server comes back on its port after a stop and after a kill`() async throws {
        try await withTestServer { server in
            let first = server.processID
            await server.stop()
            #expect(await server.state() == .down)
            #expect(server.processID == nil)
            try await server.start()
            #expect(await server.state() == .standalone)
            await server.kill()
            try await server.restart()
            #expect(await server.state() == .standalone)
            #expect(server.processID != first)
        }
    }

    // MARK: A port that another process has

    private func configuration(port: Int) -> TestServerConfiguration {
        var configuration = TestServerConfiguration()
        configuration.port = port
        return configuration
    }

    @Test func `a server whose port another server has fails, and names the port`() async throws {
        try await withTestServer { first in
            let error = await #expect(throws: TestKitError.self) {
                try await withTestServer(configuration: configuration(port: first.port)) { _ in
                    Issue.record("it answers, but it is another one")
                }
            }
            #expect(error?.code == .startFailed)
            #expect(error?.message.contains("port \(first.port)") == true, "\(String(describing: error))")
            #expect(error?.message.contains("choose another port") == true)
            #expect(await first.state() == .standalone)
        }
    }

    @Test func `an ensemble of which one port is another server's fails, and names the port`() async throws {
        try await withTestServer { first in
            let error = await #expect(throws: TestKitError.self) {
                try await withTestEnsemble(configuration: configuration(port: first.port - 1)) { _ in
                    Issue.record("one member is another one")
                }
            }
            #expect(error?.code == .startFailed)
            #expect(error?.message.contains("port \(first.port)") == true, "\(String(describing: error))")
        }
    }

    @Test func `a server that cannot have its port back is down, whoever answers there`() async throws {
        try await withTestServer { server in
            await server.stop()
            try await withTestServer(configuration: configuration(port: server.port)) { other in
                #expect(await other.state() == .standalone)
                #expect(await server.state() == .down)
                let error = await #expect(throws: TestKitError.self) { try await server.start() }
                #expect(error?.code == .startFailed)
                #expect(await server.state() == .down)
            }
            try await server.start()
            #expect(await server.state() == .standalone)
        }
    }

    // MARK: A process that ends by itself

    /// Waits for ever, unless the task is cancelled.
    private func hang() async throws {
        let (forever, continuation) = AsyncStream.makeStream(of: Never.self)
        for await _ in forever {}
        continuation.finish()
        try Task.checkCancellation()
    }

    @Test func `a server that dies fails those who use it`() async throws {
        let error = await #expect(throws: TestKitError.self) {
            try await withTestServer { server in
                #expect(kill(try #require(server.processID), SIGKILL) == 0)
                try await hang()
            }
        }
        #expect(error?.code == .exited)
        #expect(error?.message.contains("signal 9") == true, "\(String(describing: error))")
        // The calling task goes on.
        try Task.checkCancellation()
    }

    @Test func `an ensemble of which a member dies fails those who use it`() async throws {
        let error = await #expect(throws: TestKitError.self) {
            try await withTestEnsemble { ensemble in
                #expect(kill(try #require(ensemble[1].processID), SIGTERM) == 0)
                try await hang()
            }
        }
        #expect(error?.code == .exited)
        #expect(error?.message.contains("server 2") == true, "\(String(describing: error))")
    }

    @Test func `a server that its user kills, stops and starts again fails nobody`() async throws {
        try await withTestServer { server in
            await server.kill()
            try await server.start()
            try await server.restart()
            await server.stop()
        }
    }

    @Test func `a cancelled user of a server ends as it likes`() async throws {
        let user = Task {
            try await withTestServer { _ in
                withUnsafeCurrentTask { $0?.cancel() }
                try await hang()
            }
        }
        await #expect(throws: CancellationError.self) { try await user.value }
    }

    @Test func `a development server ends with an error when its process dies or its port is in use`() async throws {
        let program = TestProcess.path(ofProduct: "zkrecipes")
        let server = try TestProcess(program, arguments: ["server"])
        let address = try await server.line { !$0.isEmpty }
        let port = try #require(address.split(separator: ":").last)
        let other = try TestProcess(program, arguments: ["server", "--port", String(port)])
        #expect(try await other.waitForExit() == .exited(1))
        for try await line in other.lines { Issue.record("it said \(line)") }

        for process in try children(of: server.id) where try name(of: process) == "java" { kill(process, SIGKILL) }
        #expect(try await server.waitForExit() == .exited(1))
    }

    /// The children of a process, whichever of its threads made them.
    private func children(of process: Int32) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task").flatMap { thread in
            let path = "/proc/\(process)/task/\(thread)/children"
            return (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: " ").compactMap { Int32($0) }
                ?? []
        }
    }

    private func name(of process: Int32) throws -> String {
        try String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8).filter { $0 != "\n" }
    }

    @Test func `a server takes a hundred writes of a megabyte`() async throws {
        try await withTestServer { server in
            try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
                try await client.create("/large")
                let data = [UInt8](repeating: 7, count: 1_000_000)
                for _ in 0..<100 { _ = try await client.setData(data, at: "/large") }
            }
        }
    }
}
