internal import ZooKeeperTransport

/// Why a server refuses a request.
struct Refusal: Error, Equatable {
    var code: ReplyCode

    init(_ code: ReplyCode) { self.code = code }
}

/// What an entry of an access list allows.
enum Permission {
    static let read: Int32 = 1
    static let write: Int32 = 2
    static let create: Int32 = 4
    static let delete: Int32 = 8
    static let admin: Int32 = 16
    static let all: Int32 = 31
}

/// Paths as the server takes them apart.
enum Path {
    /// The node that this one is a child of; `/` for `/a`.
    static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    static func name(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(path[path.utf8.index(after: slash)...])
    }

    /// Whether a node may have this path.
    static func isValid(_ path: String) -> Bool {
        let bytes = path.utf8
        guard bytes.first == UInt8(ascii: "/") else { return false }
        if bytes.count == 1 { return true }
        // The length of the present part, and whether it is of dots alone.
        var (length, isDots) = (0, true)
        for byte in bytes.dropFirst() {
            if byte == UInt8(ascii: "/") {
                guard length > 0, !(isDots && length <= 2) else { return false }
                (length, isDots) = (0, true)
            } else {
                guard byte >= 0x20, byte != 0x7f else { return false }
                length += 1
                isDots = isDots && byte == UInt8(ascii: ".")
            }
        }
        return length > 0 && !(isDots && length <= 2) && !path.unicodeScalars.contains(where: isRefused)
    }

    /// Beyond ASCII: controls, private use, the specials block, and what takes two UTF-16 units.
    private static func isRefused(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x80...0x9f, 0xe000...0xf8ff, 0xfff0...: true
        default: false
        }
    }

    /// Nodes that are the server's own, which nobody deletes.
    static func isSpecial(_ path: String) -> Bool {
        path == "/" || path == "/zookeeper" || path == "/zookeeper/quota" || path == "/zookeeper/config"
    }
}
