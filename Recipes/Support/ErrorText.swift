internal import ZooKeeper

/// Returns the description of a recipe's error in one line.
///
/// It contains the code, the path, the details and the message. Text from other sources is escaped.
package func errorText(
    _ code: some CustomStringConvertible, at path: String, detail: (some CustomStringConvertible)? = String?.none,
    message: String?
) -> String {
    var text = "\(code) at \"\(path)\""
    if let detail { text += " (\(detail))" }
    if let message { text += ": \(message)" }
    return EscapedText.escaped(text)
}
