/// What a lock's znode says: who holds it or waits, and what belongs to the lock.
///
/// A name alone and data alone are written as they are, so that programs of other makers read what they expect. Both
/// together are `key=value` lines: `owner=` with the name, then `data=` with the data, or `base64=` when it is no text.
struct LockData: Sendable, Hashable {
    var ownerName: String
    var data: [UInt8]

    init(ownerName: String, data: [UInt8]) {
        self.ownerName = ownerName
        self.data = data
    }

    /// Reads any znode; of one that says one thing only it cannot be told which, so that it is both.
    init(_ bytes: [UInt8]) {
        let text = NodeText(bytes)
        let keys = text.fields.map(\.key)
        if keys == ["owner", "data"] {
            self.init(ownerName: text["owner"] ?? "", data: Array((text["data"] ?? "").utf8))
        } else if keys == ["owner", "base64"], let data = Base64.decode(text["base64"] ?? "") {
            self.init(ownerName: text["owner"] ?? "", data: data)
        } else {
            self.init(ownerName: String(validating: bytes, as: UTF8.self) ?? "", data: bytes)
        }
    }

    var bytes: [UInt8] {
        if data.isEmpty { return Array(ownerName.utf8) }
        if ownerName.isEmpty { return data }
        var text = NodeText()
        text["owner"] = ownerName
        if let string = String(validating: data, as: UTF8.self) {
            text["data"] = string
        } else {
            text["base64"] = Base64.encode(data)
        }
        return text.bytes
    }
}

/// Bytes as text, as RFC 4648 writes them.
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

    /// - Returns: `nil` when the text is not what ``encode(_:)`` writes.
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
