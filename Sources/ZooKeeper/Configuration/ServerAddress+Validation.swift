internal import Glibc

extension ServerAddress {
    static let ports = 1...65535

    /// The validation error of the host or the port, or `nil` if both are valid.
    var problem: String? {
        if let problem = Self.problem(ofHost: host) { return problem }
        guard Self.ports.contains(port) else { return "has the port \(port), which is not from 1 to 65535" }
        return nil
    }

    /// Whether a text is an IPv6 address without brackets, with or without a zone (`fe80::1%eth0`).
    static func isIPv6(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: UInt8(ascii: "%"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first else { return false }
        if parts.count == 2, parts[1].isEmpty || !parts[1].allSatisfy(isOfHostName) { return false }
        guard address.allSatisfy({ isHexDigit($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }) else {
            return false
        }
        var parsed = in6_addr()
        return unsafe inet_pton(AF_INET6, String(Substring(address)), &parsed) == 1
    }

    /// Whether a text is an IPv4 address: four numbers separated by dots.
    static func isIPv4(_ text: String) -> Bool {
        guard looksLikeIPv4(text) else { return false }
        var parsed = in_addr()
        return unsafe inet_pton(AF_INET, text, &parsed) == 1
    }

    private static func problem(ofHost host: String) -> String? {
        let bytes = host.utf8
        guard !bytes.isEmpty else { return "has no host" }
        if bytes.contains(UInt8(ascii: ":")) {
            return isIPv6(host) ? nil : "has the host \"\(host)\", which is no IPv6 address"
        }
        if let wrong = host.unicodeScalars.first(where: { !$0.isASCII || !isOfHostName(UInt8($0.value)) }) {
            let text =
                "has the host \"\(host)\" with the character U+\(String(wrong.value, radix: 16)), which is not allowed"
            return wrong.isASCII ? text : text + " (an international name is written in its \"xn--\" form)"
        }
        if looksLikeIPv4(host) {
            return isIPv4(host) ? nil : "has the host \"\(host)\", which is no IPv4 address"
        }
        return problem(ofName: bytes)
    }

    /// Checks a name against the length limits of DNS; a trailing dot is valid.
    private static func problem(ofName bytes: String.UTF8View) -> String? {
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isRooted = labels.count > 1 && labels.last?.isEmpty == true
        for label in isRooted ? labels.dropLast() : labels[...] {
            guard !label.isEmpty else { return "has a host name with an empty part between its dots" }
            guard label.count <= 63 else { return "has a host name with a part of \(label.count) characters, over 63" }
            guard label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
                return "has a host name with a part that begins or ends with a hyphen"
            }
        }
        guard bytes.count - (isRooted ? 1 : 0) <= 253 else {
            return "has a host name of \(bytes.count) characters, over 253"
        }
        return nil
    }

    private static func looksLikeIPv4(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { isDigit($0) || $0 == UInt8(ascii: ".") }
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }

    /// Whether a byte can be in a host name.
    ///
    /// Names with an underscore are not valid host names, but container networks use them.
    private static func isOfHostName(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
    }
}
