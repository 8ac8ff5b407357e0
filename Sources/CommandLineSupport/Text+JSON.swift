import FoundationEssentials

extension Text {
    /// Returns a value as one JSON object in one line, without characters that a terminal interprets or hides.
    package static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return "{}" }
        // The encoder escapes what JSON requires. Other unsafe characters also occur only in strings.
        return String(decoding: data, as: UTF8.self).unicodeScalars.reduce(into: "") { result, scalar in
            guard isUnsafe(scalar) else { return result.unicodeScalars.append(scalar) }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
    }
}
