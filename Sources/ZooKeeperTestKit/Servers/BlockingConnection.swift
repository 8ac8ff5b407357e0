import Glibc
import SystemSupport

/// A plain TCP connection for a few bytes.
///
/// Its methods block, so use it on a separate thread.
struct BlockingConnection: ~Copyable {
    private let socket: Int32

    /// Connects to a server.
    ///
    /// - Parameters:
    ///   - host: An IPv4 literal.
    ///   - port: The port.
    ///   - seconds: The timeout of each single call, in seconds.
    /// - Throws: ``TestKitError`` with code `.noAnswer`.
    init(to host: String, port: Int, seconds: Int = 5) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw TestKitError.system("socket") }
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        guard withSocketAddress(socketAddress(host, port), { connect(socket, $0, $1) }) == 0 else {
            let error = TestKitError(.noResponse, "\(host):\(port): \(String(cString: strerror(errno)))")
            close(socket)
            throw error
        }
        self.socket = socket
    }

    deinit { close(self.socket) }

    /// Sends all bytes.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` if the other side has closed the connection.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { rest in
                Glibc.send(self.socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw TestKitError(.noResponse, "send: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    /// Receives exactly this number of bytes.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` if the bytes do not arrive.
    func receive(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let more = bytes[received...].withUnsafeMutableBytes { recv(self.socket, $0.baseAddress, $0.count, 0) }
            guard more > 0 else {
                let reason = more == 0 ? "closed by the server" : String(cString: strerror(errno))
                throw TestKitError(.noResponse, "receive: \(reason)")
            }
            received += more
        }
        return bytes
    }

    /// Receives bytes until the other side closes the connection.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` if a timeout expires.
    func receiveAll() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(self.socket, &buffer, buffer.count, 0)
            guard count >= 0 else { throw TestKitError(.noResponse, "receive: \(String(cString: strerror(errno)))") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }
}

/// Sends a four-letter-word command to a server and returns the answer.
///
/// - Throws: ``TestKitError`` with code `.noAnswer` if the server does not answer within two seconds.
package func fourLetterWord(_ word: String, host: String, port: Int) async throws -> String {
    try await onOwnThread {
        let connection = try BlockingConnection(to: host, port: port, seconds: 2)
        try connection.send(Array(word.utf8))
        return String(decoding: try connection.receiveAll(), as: UTF8.self)
    }
}
