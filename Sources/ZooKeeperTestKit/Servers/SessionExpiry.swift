import SystemSupport

/// Ends a session for real, as if its client had gone away for longer than its timeout.
///
/// A second connection takes the session over and closes it. Its ephemeral nodes are gone when this returns, and its own
/// client learns of it with its next reconnect, which the server forces.
///
/// - Parameters:
///   - id: The session's id.
///   - password: The session's password.
///   - connectionString: Where its ensemble is: IPv4 literals with ports. The first server that answers is used.
/// - Throws: ``TestKitError`` with code `.sessionNotFound` when the session has ended already or the password is wrong,
///   `.noAnswer` when no server answers.
public func expireSession(id: Int64, password: [UInt8], on connectionString: String) async throws {
    var lastError: any Error = TestKitError(.misuse, "no server in \"\(connectionString)\"")
    // By scalars: the chroot may begin with one that makes a single character of itself and the slash.
    for server in connectionString.unicodeScalars.prefix(while: { $0 != "/" }).split(separator: ",").map(String.init) {
        let parts = server.split(separator: ":")
        guard parts.count == 2, let port = Int(parts[1]) else { continue }
        do {
            return try await onOwnThread {
                let connection = try RawSession(id: id, password: password, host: String(parts[0]), port: port)
                try connection.close()
            }
        } catch let error as TestKitError where error.code == .noAnswer {
            lastError = error
        }
    }
    throw lastError
}

extension TestServer {
    /// Ends a session for real: see ``expireSession(id:password:on:)``.
    ///
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noAnswer`.
    public func expireSession(id: Int64, password: [UInt8]) async throws {
        try await ZooKeeperTestKit.expireSession(id: id, password: password, on: self.connectionString)
    }
}

/// A connection that takes over a session, or begins one, by ZooKeeper's own protocol.
///
/// Its calls block.
package struct RawSession: ~Copyable {
    /// The session's id.
    package let id: Int64
    /// The session's password.
    package let password: [UInt8]
    /// The session timeout that the server granted, in milliseconds.
    package let timeout: Int32
    private let connection: BlockingConnection

    /// Connects.
    ///
    /// - Parameters:
    ///   - id: The session to take over; 0 begins a new one.
    ///   - password: Its password.
    ///   - timeout: The session timeout to ask for, in milliseconds.
    ///   - host: An IPv4 literal.
    ///   - port: The server's port.
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noAnswer`.
    package init(
        id: Int64 = 0, password: [UInt8] = [], timeout: Int32 = 10_000, host: String, port: Int
    ) throws {
        let connection = try BlockingConnection(to: host, port: port)
        var request = WireWriter()
        request.int32(0)  // protocol version
        request.int64(0)  // last zxid seen: none, so that no server is too far behind
        request.int32(timeout)
        request.int64(id)
        request.buffer(password.isEmpty ? [UInt8](repeating: 0, count: 16) : password)
        request.bool(false)  // not read-only
        try connection.send(request.frame)

        var reply = WireReader(try Self.receiveFrame(connection)[...])
        guard reply.int32() != nil, let granted = reply.int32(), let session = reply.int64(),
            let sessionPassword = reply.buffer()
        else { throw TestKitError(.noAnswer, "\(host):\(port) answered something that is not a session") }
        // Servers answer a session that they do not know with a timeout of 0.
        guard granted > 0, id == 0 || session == id else {
            throw TestKitError(.sessionNotFound, "\(host):\(port) does not know session 0x\(String(id, radix: 16))")
        }
        self.id = session
        self.password = sessionPassword
        self.timeout = granted
        self.connection = connection
    }

    /// Ends the session; it is gone when this returns.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer`.
    package func close() throws {
        let answer = try self.request(.closeSession, body: [])
        guard answer == 0 else { throw TestKitError(.sessionNotFound, "closing the session failed with \(answer)") }
    }

    /// Sends a request with its body in wire format, and returns the code of its answer: 0 for success.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer`.
    package func request(_ operation: ProxiedRequest.Operation, body: [UInt8]) throws -> Int32 {
        var header = WireWriter()
        header.int32(1)
        header.int32(operation.rawValue)
        var request = WireWriter()
        request.buffer(header.bytes + body)
        try self.connection.send(request.bytes)
        while true {
            var reply = WireReader(try Self.receiveFrame(self.connection)[...])
            guard let xid = reply.int32(), reply.int64() != nil, let code = reply.int32() else {
                throw TestKitError(.noAnswer, "the answer is cut short")
            }
            if xid == 1 { return code }
        }
    }

    private static func receiveFrame(_ connection: borrowing BlockingConnection) throws -> [UInt8] {
        var header = WireReader(try connection.receive(4)[...])
        guard let length = header.int32(), (0..<(1 << 24)).contains(length) else {
            throw TestKitError(.noAnswer, "this is not a ZooKeeper server")
        }
        return try connection.receive(Int(length))
    }
}
