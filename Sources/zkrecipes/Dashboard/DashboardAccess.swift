import CommandLineSupport
import FlyingFox
import ZooKeeper

/// The token with which a page may change something.
struct AccessToken: Sendable {
    private let bytes: [UInt8]

    /// The length of a token, in characters.
    static let length = 16...1024

    /// Creates a token that nobody can guess.
    init() {
        var generator = SystemRandomNumberGenerator()
        let text = (0..<4).map { _ in
            let digits = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        bytes = Array(text.joined().utf8)
    }

    /// Creates the token in the content of a file, without white space around it.
    ///
    /// - Returns: `nil` if it is no token: see ``rule``.
    init?(content: [UInt8]) {
        let isSpace = { (byte: UInt8) in [0x20, 0x09, 0x0a, 0x0d].contains(byte) }
        let token = content.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        guard Self.length.contains(token.count), token.allSatisfy({ (0x21...0x7e).contains($0) }) else { return nil }
        bytes = Array(token)
    }

    /// What a file with a token must contain.
    static let rule = "one line with \(length.lowerBound) to \(length.upperBound) visible ASCII characters"

    /// The token as text.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether an Authorization header contains this token.
    ///
    /// The time that this takes does not depend on the number of characters that are right.
    func isPresented(by header: String?) -> Bool {
        let scheme = "bearer "
        guard let header, header.utf8.count > scheme.utf8.count,
            header.prefix(scheme.count).lowercased() == scheme
        else { return false }
        let given = Array(header.utf8.dropFirst(scheme.utf8.count))
        guard given.count <= Self.length.upperBound else { return false }
        var difference = UInt64(bitPattern: Int64(given.count ^ bytes.count))
        for (index, byte) in given.enumerated() { difference |= UInt64(byte ^ bytes[index % bytes.count]) }
        return difference == 0
    }
}

/// The hosts that a request may name, so that no other web site can use the dashboard through a page's browser.
///
/// A web site can let its name refer to the dashboard's address (DNS rebinding); its pages may then read the answers.
struct AllowedHosts: Sendable {
    /// Further names, in lower case.
    let names: Set<String>

    init(_ names: [String] = []) { self.names = Set(names.map { $0.lowercased() }) }

    /// Whether the value of a Host header is an IP address, `localhost` or one of the further names.
    func allow(_ header: String?) -> Bool {
        guard let header else { return false }
        let host = Self.withoutPort(header)
        if host.hasPrefix("["), host.hasSuffix("]") { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 4, parts.allSatisfy({ UInt8($0) != nil }) { return true }
        let name = host.lowercased()
        return name == "localhost" || names.contains(name)
    }

    private static func withoutPort(_ header: String) -> String {
        guard let colon = header.lastIndex(of: ":"), !header.hasSuffix("]") else { return header }
        return String(header[..<colon])
    }
}
