/// A valid absolute path of a znode.
///
/// Two paths are equal if their bytes are equal, as on a server; see ``ZNodeName``.
public struct ZNodePath: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The path as a string.
    @ZNodeName public private(set) var string: String

    /// Validates a path.
    ///
    /// - Parameter string: An absolute path without empty, `.` or `..` components, trailing slash or control
    ///   characters.
    /// - Throws: ``ZooKeeperError`` with code `.invalidPath`; it has the path and the position of the error.
    public init(_ string: String) throws(ZooKeeperError) {
        if let problem = Self.problem(in: string) {
            throw ZooKeeperError(
                .invalidPath, path: string, message: "\(problem.text) at position \(problem.position)")
        }
        self.string = string
    }

    init(unchecked string: String) {
        self.string = string
    }

    /// Whether the bytes of a path precede those of another path.
    public static func < (left: ZNodePath, right: ZNodePath) -> Bool { left._string < right._string }

    /// The path as a string.
    public var description: String { string }

    /// The last component; empty for the root.
    public var name: String {
        guard let slash = string.utf8.lastIndex(of: UInt8(ascii: "/")) else { return string }
        return String(string[string.utf8.index(after: slash)...])
    }

    /// The path without its last component; `nil` for the root.
    public var parent: ZNodePath? {
        guard string.utf8.count > 1, let slash = string.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return ZNodePath(unchecked: slash == string.startIndex ? "/" : String(string[..<slash]))
    }

    /// Returns the path of a child.
    ///
    /// - Parameter name: The name of the child.
    /// - Throws: ``ZooKeeperError`` with code `.invalidPath` if the name is not a valid path component; see
    ///   ``ZNodeName/init(validating:)``.
    public func appending(_ name: String) throws(ZooKeeperError) -> ZNodePath {
        let name = try ZNodeName(validating: name)
        return ZNodePath(unchecked: Self.child(name, of: string))
    }

    /// Returns the path of a child; both arguments must be valid.
    package static func child(_ name: some CustomStringConvertible, of parent: String) -> String {
        parent == "/" ? "/\(name)" : "\(parent)/\(name)"
    }

    /// Whether the path is the root.
    var isRoot: Bool { string.utf8.count == 1 }
}

extension ZNodePath {
    struct Problem {
        var text: String
        var position: Int
    }

    /// Applies the rules of the server (PathUtils.validatePath) to UTF-8; positions count bytes from 0.
    static func problem(in string: String) -> Problem? {
        let slash = UInt8(ascii: "/")
        let bytes = string.utf8
        guard let first = bytes.first else { return Problem(text: "an empty path (the root is \"/\")", position: 0) }
        guard first == slash else { return Problem(text: "no slash", position: 0) }
        guard bytes.count > 1 else { return nil }
        var partLength = 0
        var dots = 0
        var position = 0
        for byte in bytes.dropFirst() {
            position += 1
            if byte < 0x20 || byte == 0x7f {
                return Problem(text: "a control character (0x\(String(byte, radix: 16)))", position: position)
            }
            if byte == slash {
                if let text = problemOfPart(length: partLength, dots: dots) {
                    return Problem(text: text, position: position - partLength)
                }
                (partLength, dots) = (0, 0)
            } else {
                partLength += 1
                if byte == UInt8(ascii: ".") { dots += 1 }
            }
        }
        guard partLength > 0 else { return Problem(text: "a trailing slash", position: position) }
        if let text = problemOfPart(length: partLength, dots: dots) {
            return Problem(text: text, position: position + 1 - partLength)
        }
        return problemOfScalar(in: string)
    }

    private static func problemOfPart(length: Int, dots: Int) -> String? {
        switch (length, dots) {
        case (0, _): "an empty part (\"//\")"
        case (1, 1): "a part that is \".\""
        case (2, 2): "a part that is \"..\""
        default: nil
        }
    }

    /// Checks the characters beyond ASCII.
    ///
    /// The server refuses control characters, private-use characters, the specials block, and all characters that take
    /// two UTF-16 units, such as emoji.
    private static func problemOfScalar(in string: String) -> Problem? {
        guard string.utf8.contains(where: { $0 >= 0x80 }) else { return nil }
        var position = 0
        for scalar in string.unicodeScalars {
            switch scalar.value {
            case 0x80...0x9f, 0xe000...0xf8ff, 0xfff0...0x10_ffff:
                return Problem(
                    text: "a character that no name may have (U+\(String(scalar.value, radix: 16)))", position: position
                )
            default: position += UTF8.width(scalar)
            }
        }
        return nil
    }
}
