import Glibc
import Synchronization

/// Finds ports on loopback that nobody listens on.
enum Ports {
    private static let given = Mutex<Set<Int>>([])

    /// Ports that are free now, all different, and different from every port given before by this process.
    ///
    /// They lie below the range from which the kernel takes ports for outgoing connections. A port from inside it could
    /// be taken by any connection while its server is stopped; worse, a client that keeps trying to reach a stopped
    /// server on loopback can be given that very port as its own, and is then connected to itself.
    ///
    /// - Throws: ``TestKitError`` with code `.system` when none is found.
    static func free(_ count: Int, on address: String = "127.0.0.1") throws -> [Int] {
        try (0..<count).map { _ in
            let listener = try Self.listen(on: address)
            close(listener.socket)
            return listener.port
        }
    }

    /// Listens on a port that is free; the socket does not block.
    ///
    /// Whoever listens in this process should use this: a port found with ``free(_:on:)`` may stay taken for a moment,
    /// because a process that is just being made has a copy of the socket that tried it until it becomes its program.
    ///
    /// - Throws: ``TestKitError`` with code `.system` when no port is free.
    static func listen(on address: String = "127.0.0.1") throws -> (socket: Int32, port: Int) {
        let range = Self.candidates()
        for _ in 0..<2_000 {
            let port = Int.random(in: range)
            guard Self.given.withLock({ $0.insert(port).inserted }) else { continue }
            if let socket = Self.listener(on: port, address: address) { return (socket, port) }
        }
        throw TestKitError(.system, "no free port found on \(address) in \(range)")
    }

    private static func candidates() -> Range<Int> {
        var lowestOutgoing = 32_768
        if let file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r") {
            var line = [CChar](repeating: 0, count: 64)
            if fgets(&line, 64, file) != nil { lowestOutgoing = strtol(line, nil, 10) }
            fclose(file)
        }
        return lowestOutgoing >= 15_000 ? 10_000..<lowestOutgoing : 10_000..<65_000
    }

    private static func listener(on port: Int, address: String) -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let socket = Glibc.socket(AF_INET, kind, 0)
        guard socket >= 0 else { return nil }
        let isBound = withSocketAddress(socketAddress(address, port)) { bind(socket, $0, $1) } == 0
        // Only now, so that the port is nobody else's: a listener that pauses may begin again beside its connections.
        var yes: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        if isBound, Glibc.listen(socket, 128) == 0 { return socket }
        close(socket)
        return nil
    }
}
