internal import ZooKeeper

/// A set of numbers from 0 to 63, in ascending order.
struct ValueSet: Sendable, Hashable, Sequence, IteratorProtocol {
    private var bits: UInt64 = 0

    init() {}

    init(_ values: some Sequence<Int>) {
        for value in values { insert(value) }
    }

    /// Returns the numbers from 1 to `last`, which must be under 63.
    static func upTo(_ last: Int) -> ValueSet { ValueSet(bits: (1 << (last + 1)) - 2) }

    var isEmpty: Bool { bits == 0 }

    mutating func insert(_ value: Int) { bits |= 1 << value }
    mutating func formUnion(_ other: ValueSet) { bits |= other.bits }

    func contains(_ value: Int) -> Bool { (bits >> value) & 1 == 1 }
    func union(_ other: ValueSet) -> ValueSet { ValueSet(bits: bits | other.bits) }
    func intersection(_ other: ValueSet) -> ValueSet { ValueSet(bits: bits & other.bits) }

    /// Returns the lowest number that is at least `value`.
    func first(from value: Int) -> Int? {
        let rest = (bits >> value) << value
        return rest == 0 ? nil : rest.trailingZeroBitCount
    }

    /// Returns the highest number that is at most `value`.
    func last(through value: Int) -> Int? {
        let rest = (bits << (63 - value)) >> (63 - value)
        return rest == 0 ? nil : 63 - rest.leadingZeroBitCount
    }

    mutating func next() -> Int? {
        guard let value = first(from: 0) else { return nil }
        bits &= bits - 1
        return value
    }

    private init(bits: UInt64) { self.bits = bits }
}

/// One field of a cron expression: its range, its names, and its parser.
struct CronField {
    let name: String
    let range: ClosedRange<Int>
    /// The names of the values, starting with the lower bound of the range.
    var names: [String] = []

    static let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    static let weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]

    /// Parses a list of values, ranges and steps.
    func values(_ text: String) throws(ScheduleError) -> ValueSet {
        var values = ValueSet()
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            try values.formUnion(span(String(part)))
        }
        return values
    }

    /// Parses one value, given as a number or as a name.
    func value(_ text: String) throws(ScheduleError) -> Int {
        // Some non-ASCII letters have ASCII capitals.
        if text.allSatisfy(\.isASCII), let index = names.firstIndex(of: text.uppercased()) {
            return range.lowerBound + index
        }
        guard let value = Int(digits: text.utf8), range.contains(value) else { throw error(text) }
        return value
    }

    /// Parses `*`, `3`, `3-5`, `*/10`, `3-50/10` or `3/10`, which extends to the end of the range.
    private func span(_ text: String) throws(ScheduleError) -> ValueSet {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2 else { throw error(text) }
        var step = 1
        if parts.count == 2 {
            guard let number = Int(digits: parts[1].utf8), number > 0 else {
                throw ScheduleError("\"\(text)\" as the \(name): after / comes a number over 0, such as */2")
            }
            step = number
        }
        let bounds = try bounds(parts[0], isOpen: parts.count == 2)
        return ValueSet(stride(from: bounds.lowerBound, through: bounds.upperBound, by: step))
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

/// An error in a schedule or in one of its parts: an expression, an interval, a time zone or a date.
public struct ScheduleError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The input, the error and the remedy, in words.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
