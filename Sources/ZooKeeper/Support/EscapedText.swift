/// Text that others have written, made safe for logs, errors and terminals.
///
/// What a znode holds or is named is up to everybody who may write there. A line break in it could forge a line of a log, and
/// an escape sequence could make a terminal do anything.
package enum EscapedText {
    /// The text with everything escaped that a terminal would not just show: `\n`, `\r`, `\t`, or `\u{1b}`.
    ///
    /// Escaped text stays as it is.
    package static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        return text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where isUnsafe(scalar): result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
    }

    /// Whether a terminal would do something else with a character than show it.
    package static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        default: false
        }
    }
}
