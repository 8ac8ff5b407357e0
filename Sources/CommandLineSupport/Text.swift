import ZooKeeper

/// Formatting of numbers, durations and text from other sources, without Foundation.
package enum Text {
    /// Escapes every character that a terminal interprets or hides, such as `\n` and `\u{1b}`.
    ///
    /// Names, notes and errors come from znodes that other programs may have written. Control characters (C0 and C1),
    /// line and paragraph separators, and format characters are escaped, including those that change the direction of
    /// text.
    package static func escaped(_ text: String) -> String { EscapedText.escaped(text) }

    /// Whether a terminal interprets or hides a character instead of showing it.
    package static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool { EscapedText.isUnsafe(scalar) }

    /// Returns the text in quotation marks, escaped and shortened to 100 characters if it is longer than 120.
    package static func quoted(_ text: String) -> String {
        let shown = escaped(text)
        guard shown.unicodeScalars.count > 120 else { return "\"\(shown)\"" }
        return "\"\(String(shown.unicodeScalars.prefix(100)))...\" (\(text.utf8.count) bytes)"
    }

    /// Returns a number with a fixed number of decimals, rounded.
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

    /// Returns a whole number with commas between thousands.
    package static func grouped(_ number: Int) -> String {
        var digits = Array(String(number.magnitude))
        for index in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: index) }
        return (number < 0 ? "-" : "") + String(digits)
    }

    /// Returns a duration in milliseconds if it is below one second, otherwise in seconds.
    package static func time(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        return abs(seconds) < 1 ? "\(fixed(seconds * 1000, 1)) ms" : "\(fixed(seconds, 2)) s"
    }

    /// Returns a duration in seconds, with one decimal if it is not a whole number of seconds; in milliseconds if it is
    /// below 100 ms.
    package static func seconds(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        if duration > .zero, duration < .milliseconds(100) {
            return "\(fixed(seconds * 1000, duration < .milliseconds(1) ? 3 : 0)) ms"
        }
        return "\(seconds == seconds.rounded() ? fixed(seconds, 0) : fixed(seconds, 1)) s"
    }

    /// Returns the text with spaces after it, up to a width.
    package static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// Returns the text with spaces in front of it, up to a width.
    package static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// Returns the lines of a table with aligned columns, escaped.
    ///
    /// The first row is the heading.
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
