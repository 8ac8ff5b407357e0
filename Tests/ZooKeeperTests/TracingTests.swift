#if Tracing
import InMemoryTracing
import Testing
import Tracing

@testable import ZooKeeper
import ZooKeeperTransport

@Suite(.timeLimit(.minutes(5)))
struct TracingTests {
    @Test func `each operation is a span that names it, its path and its error`() async throws {
        let tracer = InMemoryTracer()
        try await ScriptedClient.run { configuration in
            configuration.tracer = tracer
        } _: { scripted in
            let connection = try await scripted.connected()
            let reading = Task { try await scripted.client.data(at: "/a") }
            await connection.next { $0.isRead(of: "/a") }.answer(-101)
            await #expect(throws: ZooKeeperError.self) { try await reading.value }
        }
        let span = try #require(tracer.finishedSpans.first)
        #expect(tracer.finishedSpans.count == 1)
        #expect(span.operationName == "zookeeper.get")
        #expect(span.attributes.get("db.system.name") == .string("zookeeper"))
        #expect(span.attributes.get("zookeeper.path") == .string("/a"))
        #expect(span.errors.count == 1)
    }
}
#endif
