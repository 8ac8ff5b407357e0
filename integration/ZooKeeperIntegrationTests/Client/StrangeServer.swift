import Glibc
import Synchronization
import ZooKeeperTestKit

/// A server that speaks HTTP where a ZooKeeper server is expected.
final class StrangeServer: Sendable {
    let port: Int
    private let listener: Int32

    private init(port: Int, listener: Int32) {
        self.port = port
        self.listener = listener
    }

    static func start() async throws -> StrangeServer {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw TestKitError.strange }
        let server = StrangeServer(port: Int(address.sin_port.bigEndian), listener: listener)
        let thread = Thread(listener: listener)
        thread.start()
        return server
    }

    /// Ends the listening; its thread ends with it.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private struct Thread {
        var listener: Int32

        func start() {
            var thread = pthread_t()
            let argument = UnsafeMutableRawPointer(bitPattern: Int(listener) + 1)
            pthread_create(
                &thread, nil,
                { argument in
                    let listener = Int32(Int(bitPattern: argument) - 1)
                    let text = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    while true {
                        let connection = accept(listener, nil, nil)
                        if connection < 0 { return nil }
                        _ = text.withCString { send(connection, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
                        close(connection)
                    }
                }, argument)
            pthread_detach(thread)
        }
    }
}

extension TestKitError {
    fileprivate static var strange: any Error { StrangeServerError() }
}

struct StrangeServerError: Error {}
