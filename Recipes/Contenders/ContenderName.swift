package import ZooKeeper

/// The name of a participant's znode in a queue's directory.
///
/// It consists of a prefix, normally `_c_<uuid>-`, then the kind, which is `lock-`, `latch-`, `__READ__` or `__WRIT__`,
/// then the sequence number that the server appended. Children with other names are ignored.
package struct ContenderName: Sendable, Hashable, CustomStringConvertible {
    /// The kind of access that a participant waits for.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case lock = "lock-"
        case latch = "latch-"
        case read = "__READ__"
        case write = "__WRIT__"
    }

    /// The complete name.
    @ZNodeName package private(set) var string: String
    package let kind: Kind
    /// The position in the queue: the signed sequence number appended by the server, negative after an overflow.
    package let number: Int32

    /// Parses the name of a child.
    ///
    /// - Returns: `nil` if the name is not that of a participant.
    package init?(_ string: String) {
        // One pass over the bytes: each participant parses all names of its queue whenever its predecessor goes.
        var bytes = string
        guard let (kind, number) = bytes.withUTF8(Self.parse) else { return nil }
        self.string = string
        self.kind = kind
        self.number = number
    }

    package var description: String { string }

    /// Returns the kind and the number in the last ten digits, which a minus sign may precede.
    ///
    /// The hyphen of `lock-` and `latch-` is no sign.
    private static func parse(_ bytes: UnsafeBufferPointer<UInt8>) -> (Kind, Int32)? {
        let start = bytes.count - 10
        guard start > 0 else { return nil }
        var magnitude: Int64 = 0
        for byte in bytes[start...] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            magnitude = 10 * magnitude + Int64(byte - UInt8(ascii: "0"))
        }
        if let kind = kind(atEndOf: bytes[..<start]) { return Int32(exactly: magnitude).map { (kind, $0) } }
        guard bytes[start - 1] == UInt8(ascii: "-"), let kind = kind(atEndOf: bytes[..<(start - 1)]) else { return nil }
        return Int32(exactly: -magnitude).map { (kind, $0) }
    }

    private static func kind(atEndOf bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Kind? {
        Kind.allCases.first { kind in
            let word = kind.rawValue.utf8
            return bytes.count >= word.count && bytes.suffix(word.count).elementsEqual(word)
        }
    }
}

extension ContenderName {
    /// Returns the common prefix of all names of one participant: `_c_<uuid>-`.
    ///
    /// - Parameter uuid: The UUID in lower case, as created by ``makeUUID(using:)``.
    package static func prefix(uuid: String) -> String { "_c_\(uuid)-" }

    /// Returns the name to which the server appends a sequence number, such as `_c_<uuid>-__READ__`.
    package static func base(uuid: String, kind: Kind) -> String { prefix(uuid: uuid) + kind.rawValue }

    /// Returns a name with a given sequence number, as a downgrade needs it.
    package static func name(uuid: String, kind: Kind, number: Int32) -> String {
        let digits = String(number.magnitude)
        let padding = String(repeating: "0", count: max(0, 10 - digits.count))
        return base(uuid: uuid, kind: kind) + (number < 0 ? "-" : "") + padding + digits
    }

    /// Returns the name with another kind and the same prefix and sequence number.
    package func renamed(to other: Kind) -> String {
        let digits = number < 0 ? 11 : 10
        let beginning = string.utf8.dropLast(digits + kind.rawValue.utf8.count)
        return String(Substring(beginning)) + other.rawValue + String(Substring(string.utf8.suffix(digits)))
    }

    /// Returns the name of the same participant with the kind and the sequence number of another name.
    package func named(beside other: ContenderName) -> String {
        prefix + String(Substring(other.string.utf8.dropFirst(other.prefix.utf8.count)))
    }

    /// The part of the name before the kind.
    package var prefix: String {
        String(Substring(string.utf8.dropLast((number < 0 ? 11 : 10) + kind.rawValue.utf8.count)))
    }

    /// Returns whether the name belongs to the participant with this ``prefix(uuid:)``.
    package func isOwn(prefix: String) -> Bool { string.hasBytePrefix(prefix) }

    /// Returns a random UUID in lower case.
    package static func makeUUID(using generator: inout some RandomNumberGenerator) -> String {
        // Two numbers, because each draw from the system's generator is a system call.
        let high = UInt64.random(in: .min ... .max, using: &generator) & ~0xf000 | 0x4000
        let low = UInt64.random(in: .min ... .max, using: &generator) & ~(0b11 << 62) | (0b10 << 62)
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for index in 0..<32 {
            if [8, 12, 16, 20].contains(index) { text.append(UInt8(ascii: "-")) }
            let digit = UInt8(truncatingIfNeeded: (index < 16 ? high : low) >> (60 - 4 * UInt64(index % 16))) & 0xf
            text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Returns a random UUID in lower case.
    package static func makeUUID(using randomness: Randomness) -> String {
        var generator = randomness
        return makeUUID(using: &generator)
    }
}

extension ContenderName {
    /// The first sequence number at which a queue refuses new participants.
    ///
    /// At 2³¹ - 1 the server's counter no longer distinguishes participants. A queue refuses new participants about a
    /// million numbers earlier. If the directory is deleted and created again, the numbers start at 0.
    package static let firstRefusedNumber = Int32.max - (1 << 20) + 1

    /// The explanation, for operators, of why a queue refuses new participants.
    package static let beyondTheLimitMessage =
        "the server's numbers for children end soon; delete the empty directory to begin again at 0"

    /// Whether the sequence number is too close to the end of the server's counter to stay in the queue.
    ///
    /// Negative numbers are past the end.
    package var isBeyondTheLimit: Bool { number < 0 || number >= Self.firstRefusedNumber }

    /// Returns whether this participant is ahead of another one.
    ///
    /// A downgrade and the end of the counter can produce equal sequence numbers. Participants with equal numbers are
    /// ordered by their creation if both transactions are known; otherwise neither is ahead.
    package func isBefore(_ other: ContenderName, czxids: [String: Int64] = [:]) -> Bool {
        guard number == other.number else { return number < other.number }
        guard let mine = czxids[string], let others = czxids[other.string] else { return false }
        return mine < others
    }
}
