/// One field of a cron expression: its range, its names, and how it is read.
struct CronField {
    let name: String
    let range: ClosedRange<Int>
    /// Names of the values, from the range's lower bound on.
    var names: [String] = []

    static let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    static let weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

    /// Reads a list of values, ranges and steps.
    func values(_ text: String) throws(ScheduleError) -> Set<Int> {
        var values: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            try values.formUnion(span(String(part)))
        }
        return values
    }

    /// Reads one value, by number or by name.
    func value(_ text: String) throws(ScheduleError) -> Int {
        if let index = names.firstIndex(of: text.uppercased()) { return range.lowerBound + index }
        guard let value = Int(text), text.allSatisfy(\.isNumber), range.contains(value) else {
            throw error(text)
        }
        return value
    }

    /// `*`, `3`, `3-5`, `*/10`, `3-50/10` or `3/10`, which goes on to the end of the range.
    private func span(_ text: String) throws(ScheduleError) -> Set<Int> {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2 else { throw error(text) }
        var step = 1
        if parts.count == 2 {
            guard let number = Int(parts[1]), number > 0 else {
                throw ScheduleError("\"\(text)\" as the \(name): after / comes a number over 0")
            }
            step = number
        }
        let bounds = try bounds(parts[0], isOpen: parts.count == 2)
        return Set(stride(from: bounds.lowerBound, through: bounds.upperBound, by: step))
    }

    private func bounds(_ text: String, isOpen: Bool) throws(ScheduleError) -> ClosedRange<Int> {
        if text == "*" { return range }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard let first = ends.first, ends.count <= 2 else { throw error(text) }
        let lower = try value(first)
        guard ends.count == 2 else { return lower...(isOpen ? range.upperBound : lower) }
        let upper = try value(ends[1])
        guard lower <= upper else {
            throw ScheduleError("\"\(text)\" as the \(name): a range goes from the lower to the higher value")
        }
        return lower...upper
    }

    private func error(_ text: String) -> ScheduleError {
        let named = names.isEmpty ? "" : " or \(names.first ?? "") to \(names.last ?? "")"
        return ScheduleError(
            "\"\(text)\" as the \(name): it is \(range.lowerBound) to \(range.upperBound)\(named), a range such as "
                + "\(range.lowerBound)-\(range.lowerBound + 2), a step such as */2, or a list of these")
    }
}

/// A schedule that cannot be.
public struct ScheduleError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was wrong and what would be right.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
