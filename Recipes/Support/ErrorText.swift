internal import ZooKeeper

/// A recipe's error in one line: what went wrong, where, and what more is known; text of others is escaped.
package func errorText(
    _ code: some CustomStringConvertible, at path: String, detail: (some CustomStringConvertible)? = String?.none,
    message: String?
) -> String {
    var text = "\(code) at \"\(path)\""
    if let detail { text += " (\(detail))" }
    if let message { text += ": \(message)" }
    return EscapedText.escaped(text)
}
