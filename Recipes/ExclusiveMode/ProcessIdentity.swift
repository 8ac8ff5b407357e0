#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Who a znode belongs to, for people to read.
struct ProcessIdentity: Sendable, CustomStringConvertible {
    var host: String
    var pid: Int32

    var description: String { "\(host)-\(pid)" }

    static let current = ProcessIdentity(host: hostName(), pid: getpid())

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A znode name that nobody else has, made from a name for people.
    ///
    /// What a znode's name may not have becomes an underscore.
    static func uniqueNodeName(from name: String) -> String {
        let readable = String(
            String.UnicodeScalarView(
                name.unicodeScalars.map { $0.properties.isAlphabetic || $0.isNodeSafe ? $0 : "_" }))
        return "\(readable)-\(String(UInt32.random(in: .min ... .max), radix: 16))"
    }
}

extension Unicode.Scalar {
    fileprivate var isNodeSafe: Bool {
        switch self {
        case "0"..."9", "-", ".", "_", ":": true
        default: false
        }
    }
}
