import ArgumentParser
import ZooKeeper

/// Reads a number within bounds, for an option's `transform`.
///
/// - Parameter unit: What it counts, such as `seconds`.
package func number<Value: LosslessStringConvertible & Comparable & Sendable>(
    _ range: ClosedRange<Value>, _ unit: String? = nil
) -> @Sendable (String) throws -> Value {
    { argument in
        if let value = Value(argument), range.contains(value) { return value }
        let kind = Value.self is any BinaryInteger.Type ? "whole number" : "number"
        let bounds = [range.lowerBound, range.upperBound].map { bound in
            let text = "\(bound)"
            return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
        }
        throw ValidationError(
            "it must be a \(kind) from \(bounds[0]) to \(bounds[1])\(unit.map { ", in \($0)" } ?? "")")
    }
}

/// Reads a time in seconds within the usual bounds, for an option's `transform`.
package let seconds = number(0...86_400.0, "seconds")

/// Reads a value of one or several words: `ask-operator` is `askOperator`.
package func parseWords<Value: RawRepresentable<String> & CaseIterable>(_ argument: String) throws -> Value {
    func words(_ value: Value) -> String {
        value.rawValue.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
    }
    if let value = Value.allCases.first(where: { words($0) == argument }) { return value }
    throw ValidationError("it is one of \(Value.allCases.map(words).joined(separator: ", "))")
}

/// Parses the path of a znode that can have children.
package func parsePath(_ argument: String) throws -> String {
    try parsePath(argument, name: "BASE", example: "/orders")
}

/// Reads a path that the command line calls by a name.
package func parsePath(_ argument: String, name: String, example: String) throws -> String {
    let problem: String
    do throws(ZooKeeperError) {
        let path = try ZNodePath(argument)
        guard path.string == "/" else { return path.string }
        problem = "is the root"
    } catch {
        problem = "has \(error.message ?? error.description)"
    }
    let parts = argument.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
    let guess = try? ZNodePath("/" + parts.joined(separator: "/"))
    let right = guess.flatMap { $0.string == "/" ? nil : $0.string } ?? example
    throw ValidationError("\(name) is \(Text.quoted(argument)), which \(problem); right would be \(right).")
}

/// Reads what names a participant or a partition: a znode's name, and one word of the lines that are printed.
package func parseName(_ argument: String) throws -> String {
    guard let problem = problem(ofName: argument) else { return argument }
    throw ValidationError("\(Text.quoted(argument)) \(problem); right would be web-1.")
}

/// What is wrong with a name; `nil` when nothing is.
package func problem(ofName name: String) -> String? {
    if let space = name.unicodeScalars.first(where: \.properties.isWhitespace) {
        return "is no name: it has white space (U+\(String(space.value, radix: 16)))"
    }
    return problem(ofZNodeName: name)
}

/// What keeps a name from being a znode's; `nil` when nothing does.
package func problem(ofZNodeName name: String) -> String? {
    if name.isEmpty { return "is no name: it is empty" }
    if name.utf8.count > ZNodeName.longest { return "is no name: it has over \(ZNodeName.longest) bytes" }
    if name.utf8.contains(UInt8(ascii: "/")) { return "is no name: it has a slash" }
    do throws(ZooKeeperError) {
        _ = try ZNodePath("/\(name)")
        return nil
    } catch {
        return "is no znode's name: \("/" + Text.escaped(name)) has \(error.message ?? error.description)"
    }
}
