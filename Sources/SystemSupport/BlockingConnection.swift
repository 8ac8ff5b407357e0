import Glibc

/// A plain TCP connection for a few bytes.
///
/// Its methods block, so use it on a separate thread.
package struct BlockingConnection: ~Copyable {
    private let socket: Int32
    private let timeout: Duration

    /// Connects to a server.
    ///
    /// - Parameters:
    ///   - host: An IP literal or a host name; all of its addresses are tried.
    ///   - port: The port.
    ///   - timeout: The timeout of each single call.
    package init(to host: String, port: Int, timeout: Duration) throws(SocketError) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { throw SocketError("\(host): \(String(cString: gai_strerror(code)))") }
        defer { freeaddrinfo(list) }
        var failure = SocketError("\(host) has no address")
        var next = list
        while let entry = next {
            switch Self.connected(to: entry.pointee, timeout: timeout) {
            case .success(let socket):
                self.socket = socket
                self.timeout = timeout
                return
            case .failure(let error): failure = SocketError("\(host):\(port): \(error.description)")
            }
            next = entry.pointee.ai_next
        }
        throw failure
    }

    deinit { close(self.socket) }

    private static func connected(to address: addrinfo, timeout: Duration) -> Result<Int32, SocketError> {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let socket = Glibc.socket(address.ai_family, kind, address.ai_protocol)
        guard socket >= 0 else { return .failure(.system("socket")) }
        let (seconds, attoseconds) = timeout.components
        var limit = timeval(tv_sec: Int(seconds), tv_usec: Int(attoseconds / 1_000_000_000_000))
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        // On Linux, this limits the time of connect() as well.
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard connect(socket, address.ai_addr, address.ai_addrlen) == 0 else {
            let isOverdue = errno == EINPROGRESS || errno == EAGAIN
            let error = isOverdue ? SocketError("no connection in time") : .system("connect")
            close(socket)
            return .failure(error)
        }
        return .success(socket)
    }

    /// Sends all bytes.
    ///
    /// - Throws: ``SocketError`` if the other side has closed the connection.
    package func send(_ bytes: [UInt8]) throws(SocketError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { rest in
                Glibc.send(self.socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw .system("send") }
            sent += count
        }
    }

    /// Receives exactly this number of bytes.
    ///
    /// - Throws: ``SocketError`` if the bytes do not arrive.
    package func receive(_ count: Int) throws(SocketError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let more = bytes[received...].withUnsafeMutableBytes { recv(self.socket, $0.baseAddress, $0.count, 0) }
            guard more > 0 else {
                throw more == 0 ? SocketError("receive: closed by the server") : .system("receive")
            }
            received += more
        }
        return bytes
    }

    /// Receives the bytes that have arrived, or waits for some.
    ///
    /// - Returns: At least one byte; none if the other side has closed the connection; `nil` if nothing arrives within the
    ///   timeout.
    package func receive(upTo count: Int) throws(SocketError) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let received = recv(self.socket, &bytes, count, 0)
        guard received >= 0 else {
            if errno == EAGAIN { return nil }
            throw .system("receive")
        }
        return Array(bytes[..<received])
    }

    /// Receives bytes until the other side closes the connection.
    ///
    /// - Parameter maximum: The maximum number of bytes.
    /// - Throws: ``SocketError`` if the other side does not close the connection within the timeout, or sends more.
    package func receiveAll(atMost maximum: Int = 8 << 20) throws(SocketError) -> [UInt8] {
        let deadline = ContinuousClock.now + timeout
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(self.socket, &buffer, buffer.count, 0)
            guard count >= 0 else { throw .system("receive") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= maximum else { throw SocketError("receive: more than \(maximum) bytes") }
            guard ContinuousClock.now < deadline else { throw SocketError("receive: no complete answer in time") }
        }
    }
}

/// The reason why a server could not be reached or did not answer.
package struct SocketError: Error, Sendable, Hashable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }

    /// Creates an error for a failed system call, with the error number of the operating system.
    fileprivate static func system(_ call: String) -> SocketError {
        let number = errno
        guard number != EAGAIN else { return SocketError("\(call): no answer in time") }
        return SocketError("\(call): \(String(cString: strerror(number)))")
    }
}

/// Sends a four-letter-word command to a ZooKeeper server, and returns the answer.
///
/// - Parameters:
///   - word: The command, such as `srvr`.
///   - timeout: The timeout of each step: the connection, the request and the answer.
/// - Throws: ``SocketError``.
package func answer(
    toFourLetterWord word: String, host: String, port: Int, timeout: Duration = .seconds(2)
) async throws -> String {
    try await onOwnThread {
        let connection = try BlockingConnection(to: host, port: port, timeout: timeout)
        try connection.send(Array(word.utf8))
        return String(decoding: try connection.receiveAll(), as: UTF8.self)
    }
}
