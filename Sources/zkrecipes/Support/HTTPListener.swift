import FlyingFox
import FlyingSocks
import FoundationEssentials
import Glibc
import Synchronization
import ZooKeeper

/// A socket that answers HTTP/1.1 requests, with limits for each client.
///
/// A client that sends too much, too slowly or nothing, or does not read its answers, loses its connection.
final class HTTPListener: Sendable {
    struct Limits: Sendable {
        /// The number of connections at the same time; further ones are closed at once.
        var connections = 256
        /// The time without a request after which a connection is closed.
        var idleTime = Duration.seconds(60)
        /// The time from the first byte of a request to its last.
        var requestTime = Duration.seconds(10)
        /// The time for which a client may not read its answer.
        var writeTime = Duration.seconds(30)
        /// The time after which the answer to a request is given up.
        var answerTime = Duration.seconds(15)
    }

    /// The address and the port that the socket listens on, such as `127.0.0.1:9100`.
    let text: String
    private let socket: Socket
    private let handler: any HTTPHandler
    private let limits: Limits
    private let clock: any MonotonicClock
    private let connections = Atomic(0)

    /// Listens, but accepts no connection before ``run()``.
    ///
    /// - Throws: `SocketError` if the address cannot be used.
    init(
        at address: some SocketAddress, limits: Limits = Limits(), clock: any MonotonicClock = SystemMonotonicClock(),
        handler: any HTTPHandler
    ) throws {
        (self.limits, self.clock, self.handler) = (limits, clock, handler)
        socket = try Socket(domain: Int32(type(of: address).family))
        do {
            try socket.setValue(true, for: .localAddressReuse)
            try socket.bind(to: address)
            try socket.listen()
            text = Self.text(try socket.sockname())
        } catch {
            try? socket.close()
            throw error
        }
    }

    private static func text(_ address: Socket.Address) -> String {
        switch address {
        case .ip4(let address, let port): "\(address):\(port)"
        case .ip6(let address, let port): "[\(address)]:\(port)"
        case .unix(let path): path
        }
    }

    /// Accepts connections and answers requests until the task is cancelled, and closes all of them.
    ///
    /// - Throws: `SocketError` if no connection can be accepted any more; `CancellationError`.
    @concurrent
    func run() async throws {
        defer { try? socket.close() }
        let pool = HTTPServer.defaultPool()
        try await pool.prepare()
        let listening = try AsyncSocket(socket: socket, pool: pool)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            group.addTask { try await self.accept(listening) }
            try await group.next()
            group.cancelAll()
        }
    }

    private func accept(_ listening: AsyncSocket) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            while true {
                do throws(SocketError) {
                    let client = try await Self.accept(listening)
                    let isAllowed = connections.add(1, ordering: .relaxed).newValue <= limits.connections
                    group.addTask {
                        if isAllowed { await self.converse(with: client) }
                        self.connections.subtract(1, ordering: .relaxed)
                        try? client.close()
                    }
                } catch {
                    try Task.checkCancellation()
                    // The connection has ended in the queue, or the process has no descriptor for it at the moment.
                    guard case .failed(_, let code, _) = error,
                        [ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO].contains(code)
                    else { throw error }
                    try await clock.sleep(until: clock.now + .milliseconds(100))
                }
            }
        }
    }

    private static func accept(_ listening: AsyncSocket) async throws(SocketError) -> AsyncSocket {
        do { return try await listening.accept() } catch {
            throw error as? SocketError ?? .disconnected
        }
    }

    // MARK: One connection

    private func converse(with client: AsyncSocket) async {
        var parser = HTTPRequestParser()
        do {
            while let (request, keepsOpen) = try await receive(from: client, &parser) {
                let response = try await answer(to: request)
                guard try await send(response, to: client, isHead: request.method == .HEAD, keepsOpen: keepsOpen) else {
                    return
                }
            }
        } catch let problem as HTTPRequestParser.Problem {
            let response = Self.text(problem.status, problem.text)
            _ = try? await send(response, to: client, isHead: false, keepsOpen: false)
            await discardInput(of: client)
        } catch {
            // The client has closed the connection, or has kept it too long.
        }
    }

    /// Receives the next request; returns `nil` if the client sends none.
    private func receive(
        from client: AsyncSocket, _ parser: inout HTTPRequestParser
    ) async throws -> (HTTPRequest, Bool)? {
        var hasBegun = parser.hasBegun
        var deadline = clock.now + (hasBegun ? limits.requestTime : limits.idleTime)
        while true {
            if let next = try parser.next() { return next }
            if parser.hasBegun, !hasBegun { (hasBegun, deadline) = (true, clock.now + limits.requestTime) }
            let part = try await clock.run(until: deadline) { try await client.read(atMost: 4096) }
            if let part {
                parser.add(part)
            } else if hasBegun {
                throw HTTPRequestParser.Problem(.requestTimeout, "the request was not complete in time")
            } else {
                return nil
            }
        }
    }

    private func answer(to request: HTTPRequest) async throws -> HTTPResponse {
        var request = request
        // The same answer, of which only the headers are sent.
        if request.method == .HEAD { request.method = .GET }
        let (handler, question) = (handler, request)
        do {
            let answer = try await clock.run(until: clock.now + limits.answerTime) {
                try await handler.handleRequest(question)
            }
            return answer ?? Self.text(.serviceUnavailable, "there was no answer in time: try again later")
        } catch {
            try Task.checkCancellation()
            return Self.text(.internalServerError, "the request failed: \(error)")
        }
    }

    private static func text(_ status: HTTPStatusCode, _ text: String) -> HTTPResponse {
        HTTPResponse(
            statusCode: status, headers: [.contentType: "text/plain; charset=utf-8"], body: Data((text + "\n").utf8))
    }

    /// Sends an answer.
    ///
    /// - Returns: Whether the connection can be used for another request.
    private func send(
        _ response: HTTPResponse, to client: AsyncSocket, isHead: Bool, keepsOpen: Bool
    ) async throws -> Bool {
        guard case .httpBody(let body) = response.payload else { return false }
        var headers = response.headers
        let keepsOpen = keepsOpen && body.count != nil
        // The end of the connection is the end of a body of unknown length.
        headers[.contentLength] = body.count.map(String.init)
        headers[.connection] = keepsOpen ? "keep-alive" : "close"
        let lines = headers.map { "\($0.key.rawValue): \($0.value)" }.sorted()
        let status = "HTTP/1.1 \(response.statusCode.code) \(response.statusCode.phrase)"
        var bytes = Data((([status] + lines).joined(separator: "\r\n") + "\r\n\r\n").utf8)
        if isHead {
            try await write(bytes, to: client)
            return keepsOpen
        }
        if body.count != nil { bytes.append(try await response.bodyData) }
        try await write(bytes, to: client)
        if body.count == nil {
            for try await part in body { try await write(part, to: client) }
        }
        return keepsOpen
    }

    private func write(_ bytes: Data, to client: AsyncSocket) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(65_536)
            let isWritten: Void? = try await clock.run(until: clock.now + limits.writeTime) {
                try await client.write(Data(part))
            }
            guard isWritten != nil else { throw SocketError.disconnected }
            rest = rest.dropFirst(part.count)
        }
    }

    /// Reads what a refused client still sends, for a moment: closing a connection with unread bytes resets it, and the
    /// client may lose the answer.
    private func discardInput(of client: AsyncSocket) async {
        _ = Glibc.shutdown(client.socket.file.rawValue, Int32(SHUT_WR))
        let deadline = clock.now + .seconds(1)
        _ = try? await clock.run(until: deadline) {
            for _ in 0..<256 { _ = try await client.read(atMost: 4096) }
        }
    }
}
