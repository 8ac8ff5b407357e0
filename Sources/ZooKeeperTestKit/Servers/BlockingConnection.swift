import Glibc
import SystemSupport

/// A plain TCP connection for a few bytes.
///
/// Its calls block: it is used on a thread of its own.
struct BlockingConnection: ~Copyable {
    private let socket: Int32

    /// Connects.
    ///
    /// - Parameters:
    ///   - host: An IPv4 literal.
    ///   - port: The port.
    ///   - seconds: How long each single call may take.
    /// - Throws: ``TestKitError`` with code `.noAnswer`.
    init(to host: String, port: Int, seconds: Int = 5) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw TestKitError.system("socket") }
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        guard withSocketAddress(socketAddress(host, port), { connect(socket, $0, $1) }) == 0 else {
            let error = TestKitError(.noAnswer, "\(host):\(port): \(String(cString: strerror(errno)))")
            close(socket)
            throw error
        }
        self.socket = socket
    }

    deinit { close(self.socket) }

    /// Sends all bytes.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` when the other side is gone.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { rest in
                Glibc.send(self.socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw TestKitError(.noAnswer, "send: \(String(cString: strerror(errno)))") }
            sent += count
        }
    }

    /// Receives exactly so many bytes.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` when they do not come.
    func receive(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var received = 0
        while received < count {
            let more = bytes[received...].withUnsafeMutableBytes { recv(self.socket, $0.baseAddress, $0.count, 0) }
            guard more > 0 else {
                let reason = more == 0 ? "closed by the server" : String(cString: strerror(errno))
                throw TestKitError(.noAnswer, "receive: \(reason)")
            }
            received += more
        }
        return bytes
    }

    /// Receives until the other side closes.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` when it takes too long.
    func receiveAll() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = recv(self.socket, &buffer, buffer.count, 0)
            guard count >= 0 else { throw TestKitError(.noAnswer, "receive: \(String(cString: strerror(errno)))") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }
}

/// Asks a server one of its four letter words.
///
/// - Throws: ``TestKitError`` with code `.noAnswer` when the server does not answer within two seconds.
package func fourLetterWord(_ word: String, host: String, port: Int) async throws -> String {
    try await onOwnThread {
        let connection = try BlockingConnection(to: host, port: port, seconds: 2)
        try connection.send(Array(word.utf8))
        return String(decoding: try connection.receiveAll(), as: UTF8.self)
    }
}
