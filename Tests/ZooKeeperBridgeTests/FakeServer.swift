import Dispatch
import Glibc
import Synchronization

/// Something that listens on loopback and does with each connection what it was told.
final class FakeServer: Sendable {
    let address: String
    private let listener: Int32
    private let port: UInt16
    private let counts = Journal<Int>()
    private let connections = Mutex<[FakeConnection]>([])

    /// The server as an endpoint names it.
    var name: String { address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)" }

    init?(
        on address: String = "127.0.0.1",
        port wanted: UInt16 = 0,
        handle: @escaping @Sendable (FakeConnection) -> Void
    ) {
        guard let (listener, port) = listen(on: address, port: wanted) else { return nil }
        self.address = address
        self.listener = listener
        self.port = port
        DispatchQueue(label: "fake-server").async { self.accept(handle) }
    }

    /// Waits until so many connections have been accepted.
    func accepted(_ count: Int) async {
        _ = await counts.first { $0 >= count }
    }

    var acceptedCount: Int { counts.entries.count }

    /// Ends every connection and listens no longer.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        connections.withLock { $0 }.forEach { $0.end() }
    }

    private func accept(_ handle: @escaping @Sendable (FakeConnection) -> Void) {
        while true {
            let socket = Glibc.accept(listener, nil, nil)
            if socket < 0 { break }
            let connection = FakeConnection(socket)
            let count = connections.withLock { connections in
                connections.append(connection)
                return connections.count
            }
            DispatchQueue(label: "fake-connection").async {
                handle(connection)
                connection.finish()
            }
            counts.append(count)
        }
        Glibc.close(listener)
    }
}

/// A port on loopback that nobody listens on.
func closedPort() -> String? {
    guard let (socket, port) = listen(on: "127.0.0.1", port: 0) else { return nil }
    close(socket)
    return "127.0.0.1:\(port)"
}

private func listen(on address: String, port: UInt16) -> (socket: Int32, port: UInt16)? {
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address, String(port), &hints, &list) == 0, let found = list else { return nil }
    defer { freeaddrinfo(list) }
    let socket = Glibc.socket(found.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { return nil }
    var yes: Int32 = 1
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    var bound = sockaddr_in6()
    var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let isListening =
        bind(socket, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0
        && Glibc.listen(socket, 256) == 0
        && withUnsafeMutablePointer(to: &bound) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &size) }
        } == 0
    guard isListening else {
        close(socket)
        return nil
    }
    // The port stands at the same place in both kinds of address.
    return (socket, UInt16(bigEndian: bound.sin6_port))
}

/// One connection of a fake server; its calls block.
final class FakeConnection: Sendable {
    private let socket: Mutex<Int32?>

    init(_ socket: Int32) {
        self.socket = Mutex(socket)
    }

    private var descriptor: Int32 { socket.withLock { $0 } ?? -1 }

    /// Ends the connection; what blocks in it returns.
    func end() {
        socket.withLock { if let socket = $0 { _ = shutdown(socket, Int32(SHUT_RDWR)) } }
    }

    fileprivate func finish() {
        socket.withLock { socket in
            if let number = socket { Glibc.close(number) }
            socket = nil
        }
    }

    func send(_ bytes: [UInt8]) {
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// The next packet without its length, or `nil` at the end.
    func receivePacket() -> [UInt8]? {
        guard let length = receive(4) else { return nil }
        return receive(Int(length.reduce(0) { $0 << 8 | UInt32($1) }))
    }

    /// The next packet that is not a ping, which the C client sends by itself on a busy machine, or `nil` at the end.
    func receiveRequest() -> [UInt8]? {
        while let packet = receivePacket() {
            if !packet.starts(with: bytes(Int32(-2))) { return packet }
        }
        return nil
    }

    private func receive(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        guard count == 0 || recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count else { return nil }
        return bytes
    }

    /// Reads until the client is gone.
    func drain() {
        while receivePacket() != nil {}
    }

    /// Grants a session, as a server does.
    ///
    /// The timeout is long because nobody answers the pings: the C client gives a connection up after two thirds of it, and a
    /// busy machine can take a minute for a test.
    func grantSession(id: Int64 = 0x1234_5678, timeout: Int32 = 3_600_000) {
        guard receivePacket() != nil else { return }
        send(bytes(Int32(37)) + bytes(Int32(0)) + bytes(timeout) + bytes(id) + bytes(Int32(16)) + Array(1...16) + [0])
    }

    /// Takes every request and answers none, but closes when it is told the session's end.
    func swallowRequests(_ note: (_ type: Int32) -> Void = { _ in }) {
        while let packet = receivePacket(), packet.count >= 8 {
            let type = packet[4..<8].reduce(Int32(0)) { $0 << 8 | Int32($1) }
            note(type)
            if type == -11 { return }
        }
    }

    /// Answers a request with a code and no content.
    func answer(_ packet: [UInt8], code: Int32) {
        send(bytes(Int32(16)) + packet[..<4] + bytes(Int64(1)) + bytes(code))
    }
}

private func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
}
