import ArgumentParser
import CommandLineSupport
import Metrics
import SystemSupport
import Testing
import ZooKeeper

@testable import zkrecipes

/// The HTTP server for metrics and probes.
@Suite(.timeLimit(.minutes(5)))
struct MonitoringServerTests {
    private let metrics = PrometheusMetrics()
    private let readiness = Readiness()

    private var server: MonitoringServer { MonitoringServer(metrics: metrics, readiness: readiness) }

    /// Serves at a free port of an address, and passes the port to an operation.
    private func serve(
        at host: String = "127.0.0.1", _ operation: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let port = OneShot<Int>()
        try await server.serve(at: try ListenAddress.parse("\(host):0")) { text in
            if let found = text.split(separator: ":").last.flatMap({ Int($0) }), text.hasPrefix(host) {
                port.set(found)
            }
        } _: {
            try await operation(try #require(port.value))
        }
    }

    private func answer(_ request: String, host: String = "127.0.0.1", port: Int) async throws -> String {
        try await onOwnThread {
            let connection = try BlockingConnection(to: host, port: port, timeout: .seconds(60))
            try connection.send(Array("\(request) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
            return String(decoding: try connection.receiveAll(), as: UTF8.self)
        }
    }

    @Test(arguments: [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")])
    func `metrics and probes are served while the operation runs`(address: String, host: String) async throws {
        Counter(label: "app.c", factory: metrics).increment()
        let last = OneShot<Int>()
        try await serve(at: address) { port in
            last.set(port)
            let found = try await answer("GET /metrics?a=b", host: host, port: port)
            #expect(found.hasPrefix("HTTP/1.1 200 ") && found.hasSuffix("\r\n\r\n# TYPE app_c counter\napp_c 1\n"))
            #expect(found.contains("text/plain; version=0.0.4; charset=utf-8"))
            #expect(try await answer("GET /live", host: host, port: port).hasPrefix("HTTP/1.1 200 "))
            let starting = try await answer("GET /ready", host: host, port: port)
            #expect(starting.hasPrefix("HTTP/1.1 503 ") && starting.hasSuffix("\r\n\r\nthe program starts\n"))
            readiness.require { nil }
            #expect(try await answer("GET /ready", host: host, port: port).hasPrefix("HTTP/1.1 200 "))
            readiness.require { "there is no gate" }
            #expect(try await answer("GET /ready", host: host, port: port).hasSuffix("\r\n\r\nthere is no gate\n"))
            #expect(try await answer("GET /", host: host, port: port).hasPrefix("HTTP/1.1 404 "))
            #expect(try await answer("POST /metrics", host: host, port: port).hasPrefix("HTTP/1.1 405 "))
        }
        let port = try #require(last.value)
        await #expect(throws: SystemSupport.SocketError.self) { try await answer("GET /live", host: host, port: port) }
    }

    @Test func `the operation does not start if the port is in use`() async throws {
        try await serve { port in
            let address = try ListenAddress.parse("127.0.0.1:\(port)")
            let error = await #expect(throws: ListeningServer.Refusal.self) {
                try await server.serve(at: address) { Issue.record("the operation must not start") }
            }
            #expect(error?.description == "cannot serve --metrics 127.0.0.1:\(port): Address already in use")
        }
    }

    @Test func `an idle connection does not delay the end`() async throws {
        let (connected, over) = (OneShot<Void>(), OneShot<Void>())
        try await serve { port in
            detachThread {
                guard let idle = try? BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60)) else {
                    return
                }
                connected.set(())
                _ = try? idle.receiveAll()
                over.set(())
            }
            try await connected.wait()
        }
        try await over.wait()
    }

    @Test(arguments: ["9100", ":9100", "localhost:9100", "127.0.0.1", "127.0.0.1:65536", "::1:9100", "[::1]", ""])
    func `an address without an IP address or a port is refused`(text: String) {
        #expect(throws: ValidationError.self) { try ListenAddress.parse(text) }
    }
}
