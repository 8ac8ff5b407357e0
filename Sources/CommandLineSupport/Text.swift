import ZooKeeper

/// Numbers, times and foreign text as people read them, without Foundation.
package enum Text {
    /// The text with every character written out that a terminal obeys or hides: `\n`, `\u{1b}`.
    ///
    /// Names, notes and errors come from znodes that anybody may have written. Controls (C0 and C1), line and paragraph
    /// separators, and format characters are written out, among them those that turn the direction of writing.
    package static func escaped(_ text: String) -> String { EscapedText.escaped(text) }

    /// Whether a terminal would do something else with a character than show it.
    package static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool { EscapedText.isUnsafe(scalar) }

    /// The text in quotation marks, escaped.
    package static func quoted(_ text: String) -> String {
        let shown = escaped(text)
        guard shown.unicodeScalars.count > 120 else { return "\"\(shown)\"" }
        return "\"\(String(shown.unicodeScalars.prefix(100)))...\" (\(text.utf8.count) bytes)"
    }

    /// A number with a fixed count of decimals, rounded.
    package static func fixed(_ value: Double, _ places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        let scale = (0..<places).reduce(1.0) { product, _ in product * 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let (whole, rest) = scaled.quotientAndRemainder(dividingBy: Int64(scale))
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard places > 0 else { return sign + String(whole) }
        let digits = String(rest)
        return "\(sign)\(whole).\(String(repeating: "0", count: places - digits.count))\(digits)"
    }

    /// A whole number with its thousands apart.
    package static func grouped(_ number: Int) -> String {
        var digits = Array(String(number.magnitude))
        for index in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: index) }
        return (number < 0 ? "-" : "") + String(digits)
    }

    /// A time in milliseconds below a second, in seconds above.
    package static func time(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        return abs(seconds) < 1 ? "\(fixed(seconds * 1000, 1)) ms" : "\(fixed(seconds, 2)) s"
    }

    /// A time in seconds, with decimals only where they say something.
    package static func seconds(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        return "\(seconds == seconds.rounded() ? fixed(seconds, 0) : fixed(seconds, 1)) s"
    }

    /// The text with spaces after it.
    package static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// The text with spaces in front of it.
    package static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// Lines with columns below one another, escaped; the first row is the heading.
    package static func table(_ rows: [[String]], rightAligned: Set<Int> = []) -> [String] {
        let rows = rows.map { $0.map(escaped) }
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                rightAligned.contains(column) ? right(cell, widths[column]) : left(cell, widths[column])
            }
            let line = cells.joined(separator: "   ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
