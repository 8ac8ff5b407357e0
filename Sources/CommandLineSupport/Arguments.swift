import ArgumentParser
import ZooKeeper

/// Returns the `transform` of an option that accepts the numbers of a range.
package func number<Value: LosslessStringConvertible & Comparable & Sendable>(
    _ range: ClosedRange<Value>
) -> @Sendable (String) throws -> Value {
    { argument in
        if let value = Value(argument), range.contains(value) { return value }
        let kind = Value.self is any BinaryInteger.Type ? "whole number" : "number"
        let bounds = [range.lowerBound, range.upperBound].map { bound in
            let text = "\(bound)"
            return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
        }
        throw ValidationError("it must be a \(kind) from \(bounds[0]) to \(bounds[1])")
    }
}

/// Parses a value whose name is written in lower case with hyphens: `ask-operator` is `askOperator`.
package func parseWords<Value: RawRepresentable<String> & CaseIterable>(_ argument: String) throws -> Value {
    func words(_ value: Value) -> String {
        value.rawValue.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined()
    }
    if let value = Value.allCases.first(where: { words($0) == argument }) { return value }
    throw ValidationError("it must be one of \(Value.allCases.map(words).joined(separator: ", "))")
}

/// Parses the path of a znode that can have children.
package func parsePath(_ argument: String) throws -> String {
    try parsePath(argument, name: "BASE", example: "/orders")
}

/// Parses the path of a znode that can have children.
///
/// - Parameters:
///   - name: The argument's name, for the error message.
///   - example: A valid path, for the error message.
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
    throw ValidationError("\(name) \(Text.quoted(argument)) \(problem); use a path such as \(right)")
}

/// Parses the name of a participant or a partition: a valid name of a znode, without white space.
package func parseName(_ argument: String) throws -> String {
    guard let problem = problem(ofName: argument) else { return argument }
    throw ValidationError("the name \(Text.quoted(argument)) \(problem); use a name such as web-1")
}

/// Parses a participant's ID that is only displayed: a text in one line.
package func parseLabel(_ argument: String) throws -> String {
    let problem: String
    if argument.isEmpty {
        problem = "is empty"
    } else if let scalar = argument.unicodeScalars.first(where: isControl) {
        problem = "contains a control character (U+\(String(scalar.value, radix: 16)))"
    } else {
        return argument
    }
    throw ValidationError("the name \(Text.quoted(argument)) \(problem); use a name such as web-1")
}

private func isControl(_ scalar: Unicode.Scalar) -> Bool {
    [.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
}

/// Returns what is wrong with the name of a participant or a partition, or `nil` if the name is valid.
package func problem(ofName name: String) -> String? {
    if let space = name.unicodeScalars.first(where: \.properties.isWhitespace) {
        return "contains white space (U+\(String(space.value, radix: 16)))"
    }
    return problem(ofZNodeName: name)
}

/// Returns what is wrong with the name of a znode, or `nil` if the name is valid.
package func problem(ofZNodeName name: String) -> String? {
    if name.isEmpty { return "is empty" }
    if name.utf8.count > ZNodeName.maximumLength { return "is longer than \(ZNodeName.maximumLength) bytes" }
    if name.utf8.contains(UInt8(ascii: "/")) { return "contains a slash" }
    do throws(ZooKeeperError) {
        _ = try ZNodePath("/\(name)")
        return nil
    } catch {
        return "is not a valid name of a znode: \("/" + Text.escaped(name)) has \(error.message ?? error.description)"
    }
}
