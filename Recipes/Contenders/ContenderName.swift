package import ZooKeeper

/// The name of a contender's znode in a queue's directory.
///
/// It is made of any prefix, normally `_c_<uuid>-`, then the last of the words `lock-`, `latch-`, `__READ__` and
/// `__WRIT__`, then the number that the server appended. Children of other names are no contenders and are ignored.
package struct ContenderName: Sendable, Hashable, CustomStringConvertible {
    /// What a contender is in the queue for.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case lock = "lock-"
        case latch = "latch-"
        case read = "__READ__"
        case write = "__WRIT__"
    }

    /// The whole name.
    @ZNodeName package private(set) var string: String
    package let kind: Kind
    /// The place in the queue: the number that the server appended, which is signed and may be negative in the end.
    package let number: Int32

    /// Reads a child's name.
    ///
    /// - Returns: `nil` when it is not a contender's.
    package init?(_ string: String) {
        let bytes = string.utf8
        guard let digits = Self.digits(atEndOf: bytes) else { return nil }
        guard let kind = Kind.allCases.first(where: { bytes.dropLast(digits.count).hasSuffix($0.rawValue.utf8) }) else {
            return nil
        }
        guard let number = Int32(Substring(digits)) else { return nil }
        self.string = string
        self.kind = kind
        self.number = number
    }

    package var description: String { string }

    /// Ten digits, and a minus sign before them when it is not the hyphen of `lock-` or `latch-`.
    private static func digits(atEndOf bytes: String.UTF8View) -> Substring.UTF8View? {
        let digits = bytes.suffix(10)
        guard digits.count == 10, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return nil
        }
        let signed = bytes.suffix(11)
        guard signed.first == UInt8(ascii: "-"), signed.count == 11 else { return digits }
        let isHyphenOfKind = [Kind.lock, .latch].contains { bytes.dropLast(10).hasSuffix($0.rawValue.utf8) }
        let isHyphenBeforeSign = [Kind.lock, .latch].contains { bytes.dropLast(11).hasSuffix($0.rawValue.utf8) }
        return isHyphenOfKind && !isHyphenBeforeSign ? digits : signed
    }
}

extension ContenderName {
    /// The beginning of all names of one contender: `_c_<uuid>-`.
    ///
    /// - Parameter uuid: In lower case, as ``makeUUID(using:)`` makes it.
    package static func prefix(uuid: String) -> String { "_c_\(uuid)-" }

    /// What a contender asks the server to append a number to: `_c_<uuid>-__READ__`.
    package static func base(uuid: String, kind: Kind) -> String { prefix(uuid: uuid) + kind.rawValue }

    /// The name with a number of one's own choice, as a downgrade needs it.
    package static func name(uuid: String, kind: Kind, number: Int32) -> String {
        let digits = String(number.magnitude)
        let padding = String(repeating: "0", count: max(0, 10 - digits.count))
        return base(uuid: uuid, kind: kind) + (number < 0 ? "-" : "") + padding + digits
    }

    /// The name with another kind and the same prefix and number.
    package func renamed(to other: Kind) -> String {
        let digits = number < 0 ? 11 : 10
        let beginning = string.utf8.dropLast(digits + kind.rawValue.utf8.count)
        return String(Substring(beginning)) + other.rawValue + String(Substring(string.utf8.suffix(digits)))
    }

    /// The name that the same contender has with another one's kind and number.
    package func named(beside other: ContenderName) -> String {
        prefix + String(Substring(other.string.utf8.dropFirst(other.prefix.utf8.count)))
    }

    /// What stands before the kind.
    package var prefix: String {
        String(Substring(string.utf8.dropLast((number < 0 ? 11 : 10) + kind.rawValue.utf8.count)))
    }

    /// Whether the name belongs to the contender with this uuid.
    package func isOwn(uuid: String) -> Bool { string.hasBytePrefix(Self.prefix(uuid: uuid)) }

    /// A random uuid in lower case.
    package static func makeUUID(using generator: inout some RandomNumberGenerator) -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = Array("0123456789abcdef")
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append("-") }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 0x0f)])
        }
        return text
    }

    /// A random uuid in lower case.
    package static func makeUUID(using randomness: Randomness) -> String {
        var generator = randomness
        return makeUUID(using: &generator)
    }
}

extension ContenderName {
    /// The first number with which nobody may stand in a queue any more.
    ///
    /// At 2³¹ - 1 the server's counter stops to tell contenders apart. About a million numbers before that a queue
    /// refuses new contenders; a directory that was deleted and created again begins at 0.
    package static let firstRefusedNumber = Int32.max - (1 << 20) + 1

    /// Explains to people why a queue takes nobody any more.
    package static let beyondTheLimitMessage =
        "the server's numbers for children end soon; delete the empty directory to begin again at 0"

    /// Whether the server's counter is too near to its end for this contender to stay in the queue.
    ///
    /// Negative numbers are beyond the end.
    package var isBeyondTheLimit: Bool { number < 0 || number >= Self.firstRefusedNumber }

    /// Whether this contender stands in front of another one.
    ///
    /// Names with one number, which a downgrade and the end of the counter make, are told apart by their creations
    /// where both are known; else they stand side by side.
    package func isBefore(_ other: ContenderName, czxids: [String: Int64] = [:]) -> Bool {
        guard number == other.number else { return number < other.number }
        guard let mine = czxids[string], let others = czxids[other.string] else { return false }
        return mine < others
    }
}

extension Collection<UInt8> {
    /// Whether the bytes end with others.
    fileprivate func hasSuffix(_ suffix: some Collection<UInt8>) -> Bool {
        count >= suffix.count && self.suffix(suffix.count).elementsEqual(suffix)
    }
}
