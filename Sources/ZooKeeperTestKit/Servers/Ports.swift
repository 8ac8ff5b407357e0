import Glibc
import Synchronization
import SystemSupport

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
        allowReuse(of: socket)
        if isBound, Glibc.listen(socket, 128) == 0 { return socket }
        close(socket)
        return nil
    }

    private static func allowReuse(of socket: Int32) {
        var yes: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    }
}

// MARK: Who has a port

extension Ports {
    /// Why a server cannot listen at a port now, in the words of the operating system; `nil` if it can.
    static func refusal(of port: Int, on address: String) -> String? {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return nil }
        defer { close(socket) }
        // As Java does, so that connections of an earlier server do not count.
        allowReuse(of: socket)
        guard withSocketAddress(socketAddress(address, port), { bind(socket, $0, $1) }) == 0,
            Glibc.listen(socket, 1) == 0
        else { return String(cString: strerror(errno)) }
        return nil
    }

    /// Whether a process listens at a port.
    ///
    /// An answer from the port does not tell who gave it: another server may have had the port before.
    static func isHeld(_ port: Int, by process: pid_t) -> Bool {
        let listeners = Set(["tcp", "tcp6"].flatMap { Self.listeners(at: port, in: "/proc/\(process)/net/\($0)") })
        let folder = "/proc/\(process)/fd"
        return fileNames(in: folder).contains { listeners.contains(linkTarget(of: "\(folder)/\($0)")) }
    }

    /// The sockets that listen at a port, as links of a process's descriptors name them.
    private static func listeners(at port: Int, in table: String) -> [String] {
        readFile(table).split(separator: "\n").dropFirst().compactMap { line in
            let columns = line.split(separator: " ")
            guard columns.count > 9, columns[3] == "0A", let number = columns[1].split(separator: ":").last,
                Int(number, radix: 16) == port
            else { return nil }
            return "socket:[\(columns[9])]"
        }
    }
}
