import Glibc
import Synchronization
import SystemSupport

/// Finds free ports on loopback.
enum Ports {
    private static let given = Mutex<Set<Int>>([])

    /// Returns ports that are free now, all different, and different from all ports returned before in this process.
    ///
    /// The ports are below the range from which the kernel takes ports for outgoing connections. A connection could
    /// take a port in that range while its server is stopped. Worse, a client that keeps trying to connect to a stopped
    /// server on loopback can get that very port as its own. It is then connected to itself.
    ///
    /// - Throws: ``TestKitError`` with code `.system` if no free port is found.
    static func free(_ count: Int, on address: String = "127.0.0.1") throws -> [Int] {
        try (0..<count).map { _ in
            let listener = try Self.listen(on: address)
            close(listener.socket)
            return listener.port
        }
    }

    /// Listens on a free port with a non-blocking socket.
    ///
    /// Code that listens in this process should use this method instead of ``free(_:on:)``. A port returned by that
    /// method may remain in use for a moment: a process that is being spawned has a copy of the probing socket until it
    /// executes its program.
    ///
    /// - Throws: ``TestKitError`` with code `.system` if no port is free.
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
        // Only after binding, which ensures that the port is not in use. With the option, a listener that was shut down
        // can listen again while its connections are open.
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

// MARK: Users of a port

extension Ports {
    /// Returns the operating system's reason why a server cannot listen on a port now, or `nil` if it can.
    static func refusal(of port: Int, on address: String) -> String? {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return nil }
        defer { close(socket) }
        // Java sets this option as well, so connections of an earlier server do not matter.
        allowReuse(of: socket)
        guard withSocketAddress(socketAddress(address, port), { bind(socket, $0, $1) }) == 0,
            Glibc.listen(socket, 1) == 0
        else { return String(cString: strerror(errno)) }
        return nil
    }

    /// Whether a process listens on a port.
    ///
    /// An answer from the port does not identify the process: another server may have taken the port before.
    static func isHeld(_ port: Int, by process: pid_t) -> Bool {
        let listeners = Set(["tcp", "tcp6"].flatMap { Self.listeners(at: port, in: "/proc/\(process)/net/\($0)") })
        let folder = "/proc/\(process)/fd"
        return fileNames(in: folder).contains { listeners.contains(linkTarget(of: "\(folder)/\($0)")) }
    }

    /// Returns the sockets that listen on a port, as the links of a process's descriptors name them.
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
