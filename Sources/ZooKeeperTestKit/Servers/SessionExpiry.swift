import SystemSupport

/// Ends a session on the server, as if its client had been away for longer than its session timeout.
///
/// A second connection takes the session over and closes it. The ephemeral znodes of the session are gone when this
/// function returns. The server closes the client's connection, and the client learns about the end of its session when
/// it reconnects.
///
/// - Parameters:
///   - id: The ID of the session.
///   - password: The password of the session.
///   - connectionString: The servers of the ensemble: IPv4 literals with ports. The first server that answers is used.
/// - Throws: ``TestKitError`` with code `.sessionNotFound` if the session has already ended or the password is wrong,
///   `.noResponse` if no server answers, or `.misuse` if the connection string contains no server.
/// - Complexity: 2 requests in 2 round trips, on a new connection.
public func expireSession(id: Int64, password: [UInt8], on connectionString: String) async throws {
    var lastError: any Error = TestKitError(.misuse, "no server in \"\(connectionString)\"")
    // Split by Unicode scalars: the chroot may start with a combining scalar, which forms one character with the slash.
    for server in connectionString.unicodeScalars.prefix(while: { $0 != "/" }).split(separator: ",").map(String.init) {
        let parts = server.split(separator: ":")
        guard parts.count == 2, let port = Int(parts[1]) else { continue }
        do {
            return try await onOwnThread {
                let connection = try RawSession(id: id, password: password, host: String(parts[0]), port: port)
                try connection.close()
            }
        } catch let error as TestKitError where error.code == .noResponse {
            lastError = error
        }
    }
    throw lastError
}

extension TestServer {
    /// Ends a session on the server; see ``expireSession(id:password:on:)``.
    ///
    /// - Parameters:
    ///   - id: The ID of the session.
    ///   - password: The password of the session.
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noResponse`.
    /// - Complexity: 2 requests in 2 round trips, on a new connection.
    public func expireSession(id: Int64, password: [UInt8]) async throws {
        try await ZooKeeperTestKit.expireSession(id: id, password: password, on: self.connectionString)
    }
}

/// A connection that takes over or creates a session, with ZooKeeper's protocol.
///
/// Its methods block.
package struct RawSession: ~Copyable {
    /// The ID of the session.
    package let id: Int64
    /// The password of the session.
    package let password: [UInt8]
    /// The session timeout that the server granted, in milliseconds.
    package let timeout: Int32
    private let connection: BlockingConnection

    /// Connects to a server.
    ///
    /// - Parameters:
    ///   - id: The ID of the session to take over; 0 creates a new session.
    ///   - password: The password of the session.
    ///   - timeout: The requested session timeout, in milliseconds.
    ///   - host: An IPv4 literal.
    ///   - port: The server's port.
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noResponse`.
    package init(
        id: Int64 = 0, password: [UInt8] = [], timeout: Int32 = 10_000, host: String, port: Int
    ) throws {
        let connection: BlockingConnection
        do { connection = try BlockingConnection(to: host, port: port, timeout: .seconds(5)) } catch {
            throw TestKitError(.noResponse, error.description)
        }
        var request = WireWriter()
        request.int32(0)  // protocol version
        request.int64(0)  // last zxid seen: none, so that no server is too far behind
        request.int32(timeout)
        request.int64(id)
        request.buffer(password.isEmpty ? [UInt8](repeating: 0, count: 16) : password)
        request.bool(false)  // not read-only
        try connection.transmit(request.frame)

        var reply = WireReader(try Self.receiveFrame(connection)[...])
        guard reply.int32() != nil, let granted = reply.int32(), let session = reply.int64(),
            let sessionPassword = reply.buffer()
        else { throw TestKitError(.noResponse, "\(host):\(port) answered something that is not a session") }
        // If a server does not know the session, it answers with a timeout of 0.
        guard granted > 0, id == 0 || session == id else {
            throw TestKitError(.sessionNotFound, "\(host):\(port) does not know session 0x\(String(id, radix: 16))")
        }
        self.id = session
        self.password = sessionPassword
        self.timeout = granted
        self.connection = connection
    }

    /// Closes the session, which no longer exists when this method returns.
    ///
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` if the server refuses, or `.noResponse`.
    package func close() throws {
        let answer = try self.request(.closeSession, body: [])
        guard answer == 0 else { throw TestKitError(.sessionNotFound, "closing the session failed with \(answer)") }
    }

    /// Sends a request with an encoded body, and returns the error code of its reply: 0 for success.
    ///
    /// - Throws: ``TestKitError`` with code `.noResponse`.
    package func request(_ operation: ProxiedRequest.Operation, body: [UInt8]) throws -> Int32 {
        var header = WireWriter()
        header.int32(1)
        header.int32(operation.rawValue)
        var request = WireWriter()
        request.buffer(header.bytes + body)
        try self.connection.transmit(request.bytes)
        while true {
            var reply = WireReader(try Self.receiveFrame(self.connection)[...])
            guard let xid = reply.int32(), reply.int64() != nil, let code = reply.int32() else {
                throw TestKitError(.noResponse, "the answer is cut short")
            }
            if xid == 1 { return code }
        }
    }

    private static func receiveFrame(_ connection: borrowing BlockingConnection) throws -> [UInt8] {
        var header = WireReader(try connection.read(4)[...])
        guard let length = header.int32(), (0..<(1 << 24)).contains(length) else {
            throw TestKitError(.noResponse, "this is not a ZooKeeper server")
        }
        return try connection.read(Int(length))
    }
}

extension BlockingConnection {
    /// Sends all bytes.
    ///
    /// - Throws: ``TestKitError`` with code `.noResponse`.
    fileprivate func transmit(_ bytes: [UInt8]) throws(TestKitError) {
        do { try self.send(bytes) } catch { throw TestKitError(.noResponse, error.description) }
    }

    /// Receives exactly this number of bytes.
    ///
    /// - Throws: ``TestKitError`` with code `.noResponse`.
    fileprivate func read(_ count: Int) throws(TestKitError) -> [UInt8] {
        do { return try self.receive(count) } catch { throw TestKitError(.noResponse, error.description) }
    }
}
