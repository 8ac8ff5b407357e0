import Glibc
import Testing
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
}
