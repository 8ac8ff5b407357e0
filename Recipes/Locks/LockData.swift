/// The data in the znode of a lock: the participant's ID and application data.
///
/// An ID alone or data alone is written unchanged, so that other implementations read what they expect. If both are
/// given, they are written as `key=value` lines: `owner=` with the ID, then `data=` with the data. Data that is not
/// valid UTF-8 is written after `base64=`.
struct LockData: Sendable, Hashable {
    var participantID: String
    var data: [UInt8]

    init(participantID: String, data: [UInt8]) {
        self.participantID = participantID
        self.data = data
    }

    /// Reads the data of any znode.
    ///
    /// If the znode holds a single value, it may be an ID or data, so it is returned as both.
    init(_ bytes: [UInt8]) {
        let text = KeyValueData(bytes)
        let keys = text.fields.map(\.key)
        if keys == ["owner", "data"] {
            self.init(participantID: text["owner"] ?? "", data: Array((text["data"] ?? "").utf8))
        } else if keys == ["owner", "base64"], let data = Base64.decode(text["base64"] ?? "") {
            self.init(participantID: text["owner"] ?? "", data: data)
        } else {
            self.init(participantID: String(validating: bytes, as: UTF8.self) ?? "", data: bytes)
        }
    }

    var bytes: [UInt8] {
        if data.isEmpty { return Array(participantID.utf8) }
        if participantID.isEmpty { return data }
        var text = KeyValueData()
        text["owner"] = participantID
        if let string = String(validating: data, as: UTF8.self) {
            text["data"] = string
        } else {
            text["base64"] = Base64.encode(data)
        }
        return text.bytes
    }
}

/// The Base64 encoding of RFC 4648.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let word = group.reduce(0) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - group.count))
            for digit in 0..<4 {
                let value = Int(word >> (18 - 6 * UInt32(digit)) & 63)
                text.append(digit <= group.count ? digits[value] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes a string.
    ///
    /// - Returns: `nil` if ``encode(_:)`` would not produce this string.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (word, bits): (UInt32, UInt32) = (0, 0)
        for digit in text.utf8.prefix(while: { $0 != UInt8(ascii: "=") }) {
            guard let value = digits.firstIndex(of: digit) else { return nil }
            (word, bits) = (word << 6 | UInt32(value), bits + 6)
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> bits))
            }
        }
        return encode(bytes) == text ? bytes : nil
    }
}
