import MetricsTestKit
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct ZooKeeperMetricsTests {
    private let metrics = TestMetrics()

    private func running(_ body: (ScriptedClient, ScriptedConnection) async throws -> Void) async throws {
        let scripted = try ScriptedClient(metricsFactory: metrics)
        try await scripted.client.running { _ in
            try await body(scripted, try await scripted.connected())
        }
    }

    private func requests(_ operation: String, _ outcome: String) -> Int64 {
        metrics.counterTotal(
            label: "zookeeper.requests", dimensions: [("operation", operation), ("outcome", outcome)])
    }

    private func changes(_ change: String) -> Int64 {
        metrics.counterTotal(label: "zookeeper.session.changes", dimensions: [("change", change)])
    }

    // An answer is counted before the call that gives it returns.

    @Test func `requests are counted by operation and outcome`() async throws {
        try await running { scripted, connection in
            let client = scripted.client
            for code in [.ok, .noNode, .ok] as [ReplyCode] {
                async let reading = client.data(at: "/a")
                await connection.next { $0.isRead(of: "/a") }.answer(code, code == .ok ? .data([], .test()) : .none)
                _ = try? await reading
            }
            async let writing = client.setData([1], at: "/a")
            await connection.next(where: \.isSetData).answer(-103)
            _ = try? await writing
            #expect(requests("get", "ok") == 2)
            #expect(requests("get", "noNode") == 1)
            #expect(requests("set", "badVersion") == 1)
            #expect(requests("set", "ok") == 0)
        }
    }

    @Test func `what was lost, refused and never sent is counted as well`() async throws {
        try await running { scripted, connection in
            let client = scripted.client
            async let lost = client.setData([1], at: "/a")
            _ = await connection.next(where: \.isSetData)
            connection.lose()
            _ = try? await lost
            #expect(requests("set", "connectionLoss") == 1)
            async let waiting = client.setData([1], at: "/a")
            await scripted.waitForOutbox(1)
            client.triggerGracefulShutdown()
            _ = try? await waiting
            #expect(requests("set", "clientStopped") == 1)
            _ = try? await client.delete("no slash")
        }
        #expect(requests("delete", "invalidPath") == 1)
    }

    @Test func `a request's duration is from its submission to its answer`() async throws {
        try await running { scripted, connection in
            let writing = Task { try await scripted.client.setData([1], at: "/a") }
            let write = await connection.next(where: \.isSetData)
            scripted.clock.advance(by: .milliseconds(250))
            write.answer(0, .stat(.test()))
            _ = try await writing.value
            let timer = try metrics.expectTimer("zookeeper.request.duration.seconds", [("operation", "set")])
            #expect(timer.values == [250_000_000])
        }
    }

    @Test func `the session's changes are counted`() async throws {
        try await running { _, connection in
            #expect(changes("connected") == 1)
            connection.lose()
            connection.connect()
            connection.lose()
            connection.say(.expired)
            #expect(changes("connected") == 2)
            #expect(changes("suspended") == 2)
            #expect(changes("expired") == 1)
        }
    }

    @Test func `a proof tells the seconds of validity that are left, and never less than none`() async throws {
        try await running { scripted, connection in
            // Sent in the instant of the connection's establishment, the first proof makes nothing sure.
            _ = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .seconds(3))
            await connection.answerBeat()
            #expect(try metrics.expectGauge("zookeeper.session.validity.seconds").values == [0, 6.5])
        }
    }
}
