internal import ZooKeeper

/// Data of znodes as `key=value` lines, readable for humans and programs in other languages.
///
/// Line breaks and backslashes in values are escaped with a backslash.
package struct KeyValueData: Sendable, Equatable {
    package private(set) var fields: [(key: String, value: String)] = []

    package static func == (left: KeyValueData, right: KeyValueData) -> Bool {
        left.fields.elementsEqual(right.fields) { $0.key.hasBytes(of: $1.key) && $0.value.hasBytes(of: $1.value) }
    }

    package init() {}

    package init(_ bytes: [UInt8]) {
        // Split by Unicode scalars: the first scalar of a value may combine with the `=` before it into a single
        // character.
        for line in String(decoding: bytes, as: UTF8.self).unicodeScalars.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            fields.append((String(line[..<equals]), Self.unescaped(line[line.index(after: equals)...])))
        }
    }

    package subscript(key: String) -> String? {
        get { fields.last { $0.key.hasBytes(of: key) }?.value }
        set {
            fields.removeAll { $0.key.hasBytes(of: key) }
            if let newValue { fields.append((key, newValue)) }
        }
    }

    /// Adds a field for each value; a key may occur several times.
    package mutating func append(_ key: String, _ values: [String]) {
        fields += values.map { (key, $0) }
    }

    package var bytes: [UInt8] {
        Array(fields.map { "\($0.key)=\(Self.escaped($0.value))\n" }.joined().utf8)
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func unescaped(_ value: Substring.UnicodeScalarView) -> String {
        var text = ""
        var isEscape = false
        for scalar in value {
            if isEscape {
                text.unicodeScalars.append(scalar == "n" ? "\n" : scalar == "r" ? "\r" : scalar)
                isEscape = false
            } else if scalar == "\\" {
                isEscape = true
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension Duration {
    /// The number of whole milliseconds as text.
    package var inMilliseconds: String { String(milliseconds) }

    package init?(milliseconds text: String?) {
        guard let text, let number = Int64(text) else { return nil }
        self = .milliseconds(number)
    }
}
