/// A name, an ID or a path, compared byte by byte as ZooKeeper does.
///
/// Swift compares strings by canonical equivalence: `"caf\u{e9}"` and `"cafe\u{301}"` are equal strings, and two
/// znodes. A dictionary or a set with names as keys uses this type, so that it can contain both. It is written and read
/// with plain strings: `balance["web1"]`, `away.contains(node.name)`. Names are ordered by their UTF-8 bytes, which for
/// ASCII is the order of the strings.
///
/// As a property wrapper, it makes the equality of the enclosing type compare the bytes of the property.
@propertyWrapper
public struct ZNodeName: Sendable, Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The name as a string.
    public var wrappedValue: String

    /// Creates a name from any string; ``init(validating:)`` validates it.
    public init(_ string: String) {
        wrappedValue = string
    }

    /// Creates the name of a property.
    public init(wrappedValue: String) {
        self.wrappedValue = wrappedValue
    }

    /// Creates a name from a literal.
    public init(stringLiteral string: String) {
        wrappedValue = string
    }

    /// The name as a string.
    public var string: String { wrappedValue }
    /// The name as a string.
    public var description: String { wrappedValue }

    /// Whether two names have the same bytes.
    public static func == (left: ZNodeName, right: ZNodeName) -> Bool {
        left.wrappedValue.hasBytes(of: right.wrappedValue)
    }

    /// Whether the bytes of a name precede those of another name.
    public static func < (left: ZNodeName, right: ZNodeName) -> Bool {
        left.wrappedValue.utf8.lexicographicallyPrecedes(right.wrappedValue.utf8)
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        var string = wrappedValue
        string.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        hasher.combine(0xff as UInt8)
    }
}

// MARK: Validation

extension ZNodeName {
    /// The maximum length of an ID that becomes a component of a path, in bytes.
    ///
    /// Requests contain several such paths, which together must fit into one packet of the server.
    public static let maximumLength = 4096

    /// Validates an ID that becomes the last component of a path, such as the ID of a partition, a node, a member or a
    /// run.
    ///
    /// - Parameter string: One path component: not empty, `.` or `..`, without slashes, control characters, private-use
    ///   characters or characters beyond U+FFFF such as emoji, and of at most ``maximumLength`` bytes.
    /// - Throws: ``ZooKeeperError`` with code `.invalidPath`; its message has the rule and the remedy.
    public init(validating string: String) throws(ZooKeeperError) {
        if let problem = Self.problem(in: string) {
            throw ZooKeeperError(.invalidPath, path: Self.excerpt(string), message: problem)
        }
        self.init(string)
    }

    /// The validation error of an ID that becomes a path component, as the end of a sentence; `nil` if the ID is valid.
    static func problem(in name: String) -> String? {
        if name.isEmpty { return "has no characters; give it at least one" }
        if name.utf8.count > maximumLength {
            return "has \(name.utf8.count) bytes; shorten it to at most \(maximumLength)"
        }
        if let position = name.utf8.firstIndex(of: UInt8(ascii: "/")) {
            let offset = name.utf8.distance(from: name.startIndex, to: position)
            return "has a slash at position \(offset); it is one part of a path: replace the slash"
        }
        guard let problem = ZNodePath.problem(in: "/" + name) else { return nil }
        if name.utf8.first == UInt8(ascii: "."), name.utf8.count <= 2 {
            return "is \"\(name)\", which is not a valid znode name; choose another"
        }
        return "has \(problem.text) at position \(problem.position - 1); replace it"
    }

    /// Returns the error message for an invalid ID.
    ///
    /// - Parameter kind: The kind of the ID, such as "partition id".
    /// - Returns: The message, or `nil` if the ID is valid.
    package static func refusal(of name: String, as kind: String) -> String? {
        problem(in: name).map { "\(kind) \"\(excerpt(name))\" \($0)" }
    }

    private static func excerpt(_ name: String) -> String {
        let scalars = name.unicodeScalars
        let shown = String(String.UnicodeScalarView(scalars.prefix(60)))
        return shown.utf8.count == name.utf8.count ? name : shown + "…"
    }
}

// MARK: Names as keys

extension Dictionary where Key == ZNodeName {
    /// Accesses the value of a name; `nil` if the dictionary does not contain the name.
    public subscript(name: String) -> Value? {
        get { self[ZNodeName(name)] }
        _modify { yield &self[ZNodeName(name)] }
    }

    /// Accesses the value of a name, or a default value.
    public subscript(name: String, default defaultValue: @autoclosure () -> Value) -> Value {
        get { self[ZNodeName(name), default: defaultValue()] }
        _modify { yield &self[ZNodeName(name), default: defaultValue()] }
    }

    /// Removes a name and its value.
    @discardableResult
    package mutating func removeValue(forKey name: String) -> Value? { removeValue(forKey: ZNodeName(name)) }
}

extension Set<ZNodeName> {
    /// Creates a set of names.
    package init(names: some Sequence<String>) {
        self.init(names.lazy.map { ZNodeName($0) })
    }

    /// Returns whether the set contains a name.
    public func contains(_ name: String) -> Bool { contains(ZNodeName(name)) }

    /// Inserts a name; returns whether the set did not contain it.
    @discardableResult
    package mutating func insert(_ name: String) -> Bool { insert(ZNodeName(name)).inserted }

    /// Removes a name; returns whether the set contained it.
    @discardableResult
    package mutating func remove(_ name: String) -> Bool { remove(ZNodeName(name)) != nil }
}

extension Sequence<ZNodeName> {
    /// The names as strings.
    package var strings: [String] { map(\.string) }
}

extension Sequence<String> {
    /// Returns the names in byte order.
    package func sortedByBytes() -> [String] {
        sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Returns whether the sequence contains a name, compared by bytes.
    package func containsBytes(of name: String) -> Bool {
        contains { $0.hasBytes(of: name) }
    }
}

extension String {
    /// Whether two names or paths have the same bytes.
    package func hasBytes(of other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// Whether the bytes begin with those of another string.
    package func hasBytePrefix(_ prefix: String) -> Bool { utf8.starts(with: prefix.utf8) }

    /// Whether the bytes end with those of another string.
    package func hasByteSuffix(_ suffix: String) -> Bool {
        utf8.count >= suffix.utf8.count && utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }
}
