/// Escapes text from other clients, so that it is safe in logs, errors and terminals.
///
/// Every client with write permission chooses the data and the names of znodes. A line break in them could forge a line
/// of a log, and an escape sequence could control a terminal.
package enum EscapedText {
    /// Returns the text with all characters escaped that a terminal would not simply display: `\n`, `\r`, `\t`, or
    /// `\u{1b}`.
    ///
    /// Text that is already escaped does not change.
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

    /// Returns whether a terminal may do something other than display a character.
    package static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
        default: false
        }
    }
}
