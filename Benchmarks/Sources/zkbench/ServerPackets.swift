import Glibc

/// The reason why a line cannot be measured.
struct BenchError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) { self.description = description }
}

extension Bench {
    private var servers: [Substring] { connect.prefix { $0 != "/" }.split(separator: ",") }

    /// Returns the number of packets that the servers have received, including the one that asks for it.
    func packets() throws -> Int {
        try servers.reduce(0) { sum, server in
            let parts = server.split(separator: ":")
            let answer = try fourLetterWord(
                "mntr", host: String(parts[0]), port: parts.count > 1 ? String(parts[1]) : "2181")
            let line = answer.split(separator: "\n").first { $0.hasPrefix("zk_packets_received\t") }
            guard let number = line?.split(separator: "\t").last.flatMap({ Double($0) }) else {
                throw BenchError("mntr of \(server) has no zk_packets_received: allow the command")
            }
            return sum + Int(number)
        }
    }

    /// Returns the number of packets since an earlier call of ``packets()``, without those of the two calls.
    func packets(since before: Int) throws -> Int { try packets() - before - servers.count }
}

private func fourLetterWord(_ word: String, host: String, port: String) throws -> String {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, port, &hints, &list) == 0, let address = list else {
        throw BenchError("the host \(host) is unknown")
    }
    defer { freeaddrinfo(list) }
    let socket = socket(address.pointee.ai_family, address.pointee.ai_socktype, 0)
    defer { close(socket) }
    guard connect(socket, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
        send(socket, word, word.utf8.count, Int32(MSG_NOSIGNAL)) == word.utf8.count
    else { throw BenchError("\(host):\(port) does not answer") }
    var (answer, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 16_384))
    while true {
        let count = recv(socket, &buffer, buffer.count, 0)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        answer += buffer[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
}
