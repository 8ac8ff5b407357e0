package import ArgumentParser
import ZooKeeper

/// A duration on the command line, such as `10s`, `500ms` or `2m`.
///
/// The units are `ns`, `us`, `ms`, `s`, `m`, `h` and `d`. A number without a unit is a number of seconds. The number
/// may have a decimal point, but no sign and no exponent.
package struct DurationArgument: ExpressibleByArgument, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The duration, in whole nanoseconds.
    package var duration: Duration

    package init(_ duration: Duration) { self.duration = duration }

    /// Parses a duration.
    ///
    /// - Returns: `nil` if the text is not a duration, or if the duration is longer than about 292 years.
    package init?(argument: String) {
        let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = argument.dropFirst(number.count)
        guard let unit = Self.units.first(where: { $0.name == (suffix.isEmpty ? "s" : suffix) }),
            let value = Double(number)
        else { return nil }
        let nanoseconds = (value * Double(unit.nanoseconds)).rounded()
        guard nanoseconds < 0x1p63 else { return nil }
        duration = .nanoseconds(Int64(nanoseconds))
    }

    package static func milliseconds(_ count: Int) -> Self { Self(.milliseconds(count)) }

    package static func seconds(_ count: Int) -> Self { Self(.seconds(count)) }

    package static func minutes(_ count: Int) -> Self { Self(.seconds(count * 60)) }

    package static func hours(_ count: Int) -> Self { Self(.seconds(count * 3600)) }

    /// The longest duration that most options accept.
    package static let oneDay = hours(24)

    /// The units, the longest first.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000),
        ("ms", 1_000_000), ("us", 1000), ("ns", 1),
    ]

    /// The duration as a whole number of the longest possible unit, which `init(argument:)` reads again.
    package var description: String {
        let nanoseconds = duration.nanoseconds
        guard nanoseconds != 0, let unit = Self.units.first(where: { nanoseconds.isMultiple(of: $0.nanoseconds) })
        else {
            return "0s"
        }
        return "\(nanoseconds / unit.nanoseconds)\(unit.name)"
    }

    package static func < (one: Self, other: Self) -> Bool { one.duration < other.duration }

    /// Returns the `transform` of an option that accepts the durations of a range.
    package static func parser(of range: ClosedRange<Self>) -> @Sendable (String) throws -> Self {
        { argument in
            if let value = Self(argument: argument), range.contains(value) { return value }
            throw ValidationError("it must be \(rule(range))")
        }
    }

    /// The rule for an error message about a duration that is not in the range.
    package static func rule(_ range: ClosedRange<Self>) -> String {
        "a duration from \(range.lowerBound) to \(range.upperBound); the units are ms, s, m, h and d, and a bare number "
            + "is in seconds"
    }

    fileprivate static func help(_ abstract: String, _ visibility: ArgumentVisibility = .default) -> ArgumentHelp {
        ArgumentHelp(abstract, valueName: "duration", visibility: visibility)
    }
}

extension Option where Value == DurationArgument {
    /// Creates an option for a duration, whose help shows the default.
    ///
    /// - Parameters:
    ///   - abstract: The help text, without the default.
    ///   - range: The durations that are accepted.
    package init(wrappedValue: DurationArgument, _ abstract: String, in range: ClosedRange<DurationArgument>) {
        self.init(
            wrappedValue: wrappedValue, parsing: .unconditional,
            help: DurationArgument.help("\(abstract) (default: \(wrappedValue))"),
            transform: DurationArgument.parser(of: range))
    }
}

extension Option where Value == DurationArgument? {
    /// Creates an option for a duration without a default.
    ///
    /// - Parameters:
    ///   - abstract: The help text; it says what happens without the option.
    ///   - range: The durations that are accepted.
    ///   - visibility: Where the help shows the option.
    package init(
        _ abstract: String, in range: ClosedRange<DurationArgument>, visibility: ArgumentVisibility = .default
    ) {
        self.init(
            parsing: .unconditional, help: DurationArgument.help(abstract, visibility),
            transform: DurationArgument.parser(of: range))
    }
}
