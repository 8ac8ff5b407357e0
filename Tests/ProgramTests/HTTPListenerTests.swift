import FlyingFox
import FoundationEssentials
import SystemSupport
import Testing
import ZooKeeper

@testable import zkrecipes

/// What clients of the HTTP server may do, over real sockets.
@Suite(.timeLimit(.minutes(5)))
struct HTTPListenerTests {
    /// Answers with the method, the path, and the body.
    private struct Echo: HTTPHandler {
        func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
            if request.path == "/never" { try await OneShot<Void>().wait() }
            if request.path == "/large" { return HTTPResponse(statusCode: .ok, body: Data(count: 64 << 20)) }
            let body = try await request.bodyData
            return HTTPResponse(statusCode: .ok, body: Data("\(request.method.rawValue) \(request.path) ".utf8) + body)
        }
    }

    private func serve(
        _ limits: HTTPListener.Limits = .init(), _ operation: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let listener = try HTTPListener(
            at: ListenAddress.parse("127.0.0.1:0").socket, limits: limits, handler: Echo())
        let port = try #require(listener.text.split(separator: ":").last.flatMap { Int($0) })
        try await alongside({ try? await listener.run() }) { try await operation(port) }
    }

    /// Sends a text, and returns everything until the server closes the connection.
    private func answer(to text: String, port: Int) async throws -> String {
        try await onOwnThread {
            let connection = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
            try connection.send(Array(text.utf8))
            return String(decoding: try connection.receiveAll(), as: UTF8.self)
        }
    }

    @Test func `several requests can share a connection`() async throws {
        try await serve { port in
            let answers = try await answer(
                to: "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
                    + "HEAD /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", port: port)
            #expect(
                answers == """
                    HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\nGET /a \
                    HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 10\r\n\r\nPOST /b hi\
                    HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 7\r\n\r\n
                    """)
        }
    }

    @Test func `a long line is refused at once`() async throws {
        try await serve { port in
            let text = "GET /" + String(repeating: "a", count: 1_000_000)
            let found = try await answer(to: text, port: port)
            #expect(found.hasPrefix("HTTP/1.1 431 ") && found.contains("Connection: close"))
        }
    }

    @Test func `clients that are too slow lose their connections`() async throws {
        var limits = HTTPListener.Limits()
        (limits.requestTime, limits.idleTime) = (.milliseconds(200), .milliseconds(300))
        try await serve(limits) { port in
            #expect(try await answer(to: "GET / HT", port: port).hasPrefix("HTTP/1.1 408 "))
            #expect(try await answer(to: "", port: port).isEmpty)
            let unfinished = try await answer(to: "GET / HTTP/1.1\r\n\r\nGET /", port: port)
            #expect(unfinished.hasPrefix("HTTP/1.1 200 ") && unfinished.contains("HTTP/1.1 408 "))
        }
    }

    @Test func `an answer that never comes is given up`() async throws {
        var limits = HTTPListener.Limits()
        limits.answerTime = .milliseconds(100)
        try await serve(limits) { port in
            let found = try await answer(to: "GET /never HTTP/1.1\r\nConnection: close\r\n\r\n", port: port)
            #expect(found.hasPrefix("HTTP/1.1 503 "))
        }
    }

    @Test func `a client that does not read its answer loses its connection`() async throws {
        var limits = HTTPListener.Limits()
        (limits.writeTime, limits.connections) = (.milliseconds(200), 1)
        try await serve(limits) { port in
            let (connected, over) = (OneShot<Void>(), OneShot<Void>())
            try await alongside({
                try? await onOwnThread {
                    let first = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
                    try first.send(Array("GET /large HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
                    _ = try first.receive(1)
                    connected.set(())
                    _ = over.waitBlocking(until: nil)
                }
            }) {
                try await connected.wait()
                // The only connection is free again, although its client has not closed it.
                var found = ""
                while found.isEmpty {
                    found = (try? await answer(to: "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", port: port)) ?? ""
                }
                #expect(found.hasPrefix("HTTP/1.1 200 "))
                over.set(())
            }
        }
    }

    @Test func `connections beyond the limit are closed, until another one ends`() async throws {
        var limits = HTTPListener.Limits()
        limits.connections = 1
        try await serve(limits) { port in
            let (connected, over) = (OneShot<Void>(), OneShot<Void>())
            try await alongside({
                try? await onOwnThread {
                    let first = try BlockingConnection(to: "127.0.0.1", port: port, timeout: .seconds(60))
                    try first.send(Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
                    _ = try first.receive(1)
                    connected.set(())
                    _ = over.waitBlocking(until: nil)
                }
            }) {
                try await connected.wait()
                #expect(try await answer(to: "", port: port).isEmpty)
                over.set(())
            }
            var found = ""
            while found.isEmpty {
                found = (try? await answer(to: "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", port: port)) ?? ""
            }
            #expect(found.hasPrefix("HTTP/1.1 200 "))
        }
    }
}
