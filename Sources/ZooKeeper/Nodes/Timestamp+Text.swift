// The conversion does not use Foundation's formatters, which are fifty times as slow. The text does not depend on the
// locale or the calendar.
extension Timestamp: LosslessStringConvertible {
    /// The time in UTC, such as `2026-03-08T07:00:00.250Z`.
    public var description: String {
        let (seconds, rest) = Int(millisecondsSince1970).dividedDown(by: 1000)
        return "\(Self.text(ofSeconds: seconds)).\(rest < 10 ? "00" : rest < 100 ? "0" : "")\(rest)Z"
    }

    /// Returns the date and the time of day of a number of seconds since 1970, without a time zone.
    package static func text(ofSeconds seconds: Int) -> String {
        let (day, rest) = seconds.dividedDown(by: 86_400)
        return "\(LocalDay(number: day))T\(twoDigits(rest / 3600)):\(twoDigits(rest / 60 % 60)):\(twoDigits(rest % 60))"
    }

    /// Parses a time in UTC or with an offset: `2026-03-07T12:00:00Z`, `2026-03-07T13:00:00.250+01:00`.
    ///
    /// The seconds may have up to nine decimals, and are rounded down to the millisecond.
    ///
    /// - Parameter text: The text; `nil` is returned if it is invalid, or outside of the range of timestamps.
    public init?(_ text: String) {
        guard let time = try? Timestamp(parsing: text) else { return nil }
        self = time
    }

    /// Parses a time in UTC or with an offset.
    ///
    /// - Throws: ``TimeTextError``, which contains the reason.
    package init(parsing text: String) throws(TimeTextError) {
        var scanner = DigitScanner(text)
        let date = scanner.date(isExpanded: true)
        guard let date, scanner.skip("T"), let hour = scanner.number(digits: 2), scanner.skip(":"),
            let minute = scanner.number(digits: 2), scanner.skip(":"), let second = scanner.number(digits: 2),
            let milliseconds = scanner.fraction(), let offset = scanner.offset(), scanner.isAtEnd
        else {
            throw TimeTextError("it is written as 2026-03-07T12:00:00Z or 2026-03-07T12:00:00+01:00")
        }
        let day = try LocalDay(checking: date)
        guard hour < 24, minute < 60, second < 60 else {
            throw TimeTextError(
                "hours are 00 to 23, minutes and seconds 00 to 59; midnight is T00:00:00 of the next day")
        }
        let seconds = day.number * 86_400 + hour * 3600 + minute * 60 + second - offset
        guard let time = Timestamp(seconds: Int64(seconds), milliseconds: Int64(milliseconds)) else {
            throw TimeTextError("it is more than 292 million years from now")
        }
        self = time
    }

    /// Creates a timestamp; `nil` if it cannot be represented.
    private init?(seconds: Int64, milliseconds: Int64) {
        // Both have the same sign, so that the earliest timestamps do not overflow.
        let isNegative = seconds < 0 && milliseconds > 0
        let (whole, part) = isNegative ? (seconds + 1, milliseconds - 1000) : (seconds, milliseconds)
        let (product, isTooLarge) = whole.multipliedReportingOverflow(by: 1000)
        let (sum, overflows) = product.addingReportingOverflow(part)
        guard !isTooLarge, !overflows else { return nil }
        self.init(millisecondsSince1970: sum)
    }
}

/// The reason why a text is not a time or a day.
package struct TimeTextError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// A scanner for ASCII digits and the separators between them.
///
/// Digits outside ASCII are not accepted.
package struct DigitScanner {
    private var rest: Substring.UTF8View

    package init(_ text: String) { rest = text[...].utf8 }

    package var isAtEnd: Bool { rest.isEmpty }

    mutating func skip(_ sign: Unicode.Scalar) -> Bool {
        guard let first = rest.first, first == UInt8(ascii: sign) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// Scans a number with an exact number of digits.
    mutating func number(digits: Int) -> Int? {
        let text = rest.prefix(digits)
        guard text.count == digits, let number = Int(digits: text) else { return nil }
        rest = rest.dropFirst(digits)
        return number
    }

    /// Scans a date such as `2026-03-07`, whether or not the day exists.
    ///
    /// - Parameter isExpanded: Whether the year may have a sign, and then up to nine digits.
    package mutating func date(isExpanded: Bool = false) -> (year: Int, month: Int, day: Int)? {
        guard let year = isExpanded ? expandedYear() : number(digits: 4), skip("-"),
            let month = number(digits: 2), skip("-"), let day = number(digits: 2)
        else { return nil }
        return (year, month, day)
    }

    private mutating func expandedYear() -> Int? {
        let isNegative = skip("-")
        guard isNegative || skip("+") else { return number(digits: 4) }
        let count = rest.prefix { $0 != UInt8(ascii: "-") }.count
        guard count >= 4, let year = number(digits: count) else { return nil }
        return isNegative ? -year : year
    }

    /// Scans a decimal point and up to nine digits, and returns whole milliseconds; 0 if there is no point.
    mutating func fraction() -> Int? {
        guard skip(".") else { return 0 }
        let digits = rest.prefix { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }
        guard digits.count <= 9, var number = Int(digits: digits) else { return nil }
        rest = rest.dropFirst(digits.count)
        for _ in digits.count..<9 { number *= 10 }
        return number / 1_000_000
    }

    /// Scans `Z`, `+01:00` or `+0100`, and returns the offset in seconds.
    mutating func offset() -> Int? {
        if skip("Z") { return 0 }
        let isAhead = skip("+")
        guard isAhead || skip("-"), let hours = number(digits: 2) else { return nil }
        _ = skip(":")
        guard let minutes = number(digits: 2), hours < 24, minutes < 60 else { return nil }
        return (isAhead ? 1 : -1) * (hours * 3600 + minutes * 60)
    }
}

extension Int {
    /// Parses a number of one to nine ASCII digits; `nil` for anything else.
    package init?(digits: some Collection<UInt8>) {
        guard (1...9).contains(digits.count), digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        self = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// Returns the quotient, rounded down, and the remainder, which is never negative.
    package func dividedDown(by divisor: Int) -> (quotient: Int, rest: Int) {
        let (quotient, rest) = quotientAndRemainder(dividingBy: divisor)
        return rest < 0 ? (quotient - 1, rest + divisor) : (quotient, rest)
    }
}
