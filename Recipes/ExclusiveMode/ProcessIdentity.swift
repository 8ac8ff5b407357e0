internal import Glibc
internal import ZooKeeper

/// The host and process that a znode belongs to, for display.
package struct ProcessIdentity: Sendable, CustomStringConvertible {
    var host: String
    var pid: Int32

    package var description: String { "\(host)-\(pid)" }

    package static let current = ProcessIdentity(host: hostName(), pid: getpid())

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The unique name of a member znode, `<display name>-<tag>`.
///
/// The UUIDs of the processor's read znodes start with the same tag. A window can therefore assign them to their
/// processor from the listings alone.
struct MemberName: Sendable, Hashable {
    /// Eight hexadecimal digits.
    let tag: String
    let node: String

    /// Replaces characters that a znode's name must not contain with underscores, and shortens a long name.
    init(for name: String, using randomness: Randomness) {
        let digits = String(UInt32(truncatingIfNeeded: randomness.next()), radix: 16)
        tag = String(repeating: "0", count: 8 - digits.count) + digits
        let readable = name.unicodeScalars.prefix(Self.longest).map { $0.isNodeSafe ? $0 : "_" }
        node = "\(String(String.UnicodeScalarView(readable)))-\(tag)"
    }

    init?(node: String) {
        // Compares bytes, because a name may end with a scalar that combines with the hyphen into a single character.
        let tail = node.utf8.suffix(9)
        guard tail.first == UInt8(ascii: "-"), !tail.dropFirst().contains(UInt8(ascii: "-")), tail.count == 9 else {
            return nil
        }
        self.node = node
        tag = String(decoding: tail.dropFirst(), as: UTF8.self)
    }

    /// The maximum number of scalars of the display name.
    private static let longest = 100

    /// The display name.
    var name: String { String(decoding: node.utf8.dropLast(9), as: UTF8.self) }

    /// Returns a new UUID for a read znode of this processor.
    func makeUUID(using randomness: Randomness) -> String {
        tag + ContenderName.makeUUID(using: randomness).dropFirst(8)
    }

    /// Returns the tag in a contender's name, if the contender is a processor of this package.
    static func tag(ofContender name: String) -> String? {
        guard name.hasBytePrefix("_c_"), name.utf8.count > 12 else { return nil }
        return String(decoding: name.utf8.dropFirst(3).prefix(8), as: UTF8.self)
    }
}

extension Unicode.Scalar {
    fileprivate var isNodeSafe: Bool {
        switch self {
        case "0"..."9", "-", ".", "_", ":": true
        // Servers refuse scalars that take two UTF-16 units.
        default: value < 0x1_0000 && properties.isAlphabetic
        }
    }
}
