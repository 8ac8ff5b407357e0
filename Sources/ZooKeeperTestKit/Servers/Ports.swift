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
        let range = Self.candidates()
        return try (0..<count).map { _ in
            for _ in 0..<2_000 {
                let port = Int.random(in: range)
                let isNew = Self.given.withLock { $0.insert(port).inserted }
                if isNew, Self.canListen(on: port, address: address) { return port }
            }
            throw TestKitError(.system, "no free port found on \(address) in \(range)")
        }
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

    private static func canListen(on port: Int, address: String) -> Bool {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | UInt32(SOCK_CLOEXEC.rawValue)), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        return withSocketAddress(socketAddress(address, port)) { bind(socket, $0, $1) } == 0 && listen(socket, 1) == 0
    }
}
