/// The components of `host:port,host:port/chroot`.
struct ConnectionString {
    var servers: [ServerAddress] = []
    /// The chroot; `nil` also if it is only `/`.
    var chroot: ZNodePath?

    /// Parses a connection string.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`; the message has the invalid component and a
    ///   valid example.
    init(_ text: String) throws(ZooKeeperError) {
        guard !text.utf8.isEmpty else { throw Self.error(text, "it is empty") }
        let (list, chroot) = Self.split(text)
        self.chroot = try Self.chroot(chroot, of: text)
        let parts = list.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            servers.append(try Self.server(String(Substring(part)), number: index + 1, of: text))
        }
    }
}

extension ConnectionString {
    private static let example = "zk1.example:2181,zk2.example:2181/app"

    private static func error(_ text: String, _ problem: String, example: String = example) -> ZooKeeperError {
        ZooKeeperError(
            .invalidConfiguration,
            message: "connection string \"\(text)\": \(problem); an example that is right: \"\(example)\""
        )
    }

    /// Splits the text at the first slash, where the chroot starts.
    private static func split(_ text: String) -> (list: Substring, chroot: Substring) {
        let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")) ?? text.endIndex
        return (text[..<slash], text[slash...])
    }

    private static func chroot(_ chroot: Substring, of text: String) throws(ZooKeeperError) -> ZNodePath? {
        guard chroot.utf8.count > 1 else { return nil }
        let bytes = chroot.utf8
        if let comma = bytes.firstIndex(of: UInt8(ascii: ",")), bytes[comma...].contains(UInt8(ascii: ":")) {
            throw error(text, "servers follow the chroot \"\(chroot[..<comma])\", which must be at the end")
        }
        do throws(ZooKeeperError) {
            return try ZNodePath(String(chroot))
        } catch {
            throw Self.error(text, "the chroot \"\(chroot)\" has \(error.message ?? "an error")")
        }
    }

    private static func server(
        _ part: String,
        number: Int,
        of text: String
    ) throws(ZooKeeperError) -> ServerAddress {
        let name = "part \(number), \"\(part)\","
        let bytes = part.utf8
        guard !bytes.isEmpty else { throw error(text, "part \(number) is empty, where host:port is expected") }
        guard !bytes.contains(where: { $0 == UInt8(ascii: " ") || (0x09...0x0d).contains($0) }) else {
            throw error(text, "\(name) has a space")
        }
        let (host, port) = try hostAndPort(part, name: name, of: text)
        guard let port else {
            throw error(text, "\(name) has no port", example: "\(host):2181")
        }
        guard let number = portNumber(port) else {
            throw error(text, "\(name) has the port \"\(port)\", which is not a number from 1 to 65535")
        }
        let isBracketed = bytes.first == UInt8(ascii: "[")
        let address = ServerAddress(host: isBracketed ? String(host.dropFirst().dropLast()) : host, port: number)
        if isBracketed, !ServerAddress.isIPv6(address.host) {
            throw error(text, "\(name) has no IPv6 address in its brackets", example: "[2001:db8::1]:2181")
        }
        if let problem = address.problem { throw error(text, "\(name) \(problem)") }
        return address
    }

    /// Splits at the last colon outside of brackets; the host keeps its brackets.
    private static func hostAndPort(
        _ part: String,
        name: String,
        of text: String
    ) throws(ZooKeeperError) -> (host: String, port: String?) {
        let colon = UInt8(ascii: ":")
        let bytes = part.utf8
        if bytes.first == UInt8(ascii: "[") {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw error(text, "\(name) has a bracket that is not closed", example: "[2001:db8::1]:2181")
            }
            let rest = bytes[bytes.index(after: end)...]
            guard rest.isEmpty || rest.first == colon else {
                throw error(text, "\(name) has no colon after its bracket", example: "[2001:db8::1]:2181")
            }
            let host = String(Substring(bytes[...end]))
            return (host, rest.isEmpty ? nil : String(Substring(rest.dropFirst())))
        }
        guard bytes.filter({ $0 == colon }).count <= 1 else {
            throw error(
                text, "\(name) has more than one colon: write an IPv6 address in brackets",
                example: "[2001:db8::1]:2181")
        }
        guard let cut = bytes.firstIndex(of: colon) else { return (part, nil) }
        return (String(Substring(bytes[..<cut])), String(Substring(bytes[bytes.index(after: cut)...])))
    }

    /// Parses a port of digits only: `Int` would also accept a sign.
    private static func portNumber(_ text: String) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        guard let number = Int(text), ServerAddress.ports.contains(number) else { return nil }
        return number
    }
}
