package import Foundation

/// The text form of instants in UTC: `2026-03-08T07:00:00Z`, or with milliseconds `2026-03-08T07:00:00.250Z`.
///
/// The conversion does not use formatters, which are fifty times as slow. The text does not depend on the locale or the
/// calendar, because it is used in names of znodes.
package struct UniversalTime {
    package let date: Date

    /// The instants that have a text form, in seconds since 1970: the years 1 to 9999.
    ///
    /// Their texts sort in chronological order.
    static let range = -62_135_596_800...253_402_300_799

    /// Returns the text of an instant, rounded down to the second and clamped to ``range``.
    package static func text(_ instant: Date) -> String {
        let seconds = range.clamping(instant.timeIntervalSince1970.rounded(.down))
        return stem(seconds) + "Z"
    }

    /// Returns the text of an instant, rounded to the millisecond and clamped to ``range``.
    static func preciseText(_ instant: Date) -> String {
        let scaled = range.lowerBound * 1000...range.upperBound * 1000
        let milliseconds = scaled.clamping((instant.timeIntervalSince1970 * 1000).rounded())
        let (seconds, rest) = milliseconds.dividedDown(by: 1000)
        return "\(stem(seconds)).\(rest < 10 ? "00" : rest < 100 ? "0" : "")\(rest)Z"
    }

    /// Returns the date and the time of day of a number of seconds since 1970, without conversion between time zones.
    static func stem(_ seconds: Int) -> String {
        let (day, rest) = seconds.dividedDown(by: 86_400)
        return "\(LocalDay(number: day))T\(twoDigits(rest / 3600)):\(twoDigits(rest / 60 % 60)):\(twoDigits(rest % 60))"
    }

    /// Parses a text that ``text(_:)`` or ``preciseText(_:)`` returned; `nil` if it is invalid.
    init?(_ text: String) {
        guard let time = try? UniversalTime(parsing: text) else { return nil }
        self = time
    }

    /// Parses an instant in UTC or with an offset: `2026-03-07T12:00:00Z`, `2026-03-07T13:00:00+01:00`.
    ///
    /// - Throws: ``ScheduleError``, which names the error and the valid form.
    package init(parsing text: String) throws(ScheduleError) {
        let wrong = { (why: String) in ScheduleError("\"\(text)\" as an instant: \(why)") }
        let form = "it is written as 2026-03-07T12:00:00Z or 2026-03-07T12:00:00+01:00"
        var scanner = DigitScanner(text)
        let date = scanner.date()
        guard let date, scanner.skip("T"), let hour = scanner.number(digits: 2), scanner.skip(":"),
            let minute = scanner.number(digits: 2), scanner.skip(":"), let second = scanner.number(digits: 2),
            let fraction = scanner.fraction(), let offset = scanner.offset(), scanner.isAtEnd
        else { throw wrong(form) }
        let day: LocalDay
        do { day = try LocalDay(checking: date) } catch { throw wrong(error.description) }
        guard hour < 24, minute < 60, second < 60 else {
            throw wrong("hours are 00 to 23, minutes and seconds 00 to 59; midnight is T00:00:00 of the next day")
        }
        let seconds = day.number * 86_400 + hour * 3600 + minute * 60 + second - offset
        guard Self.range.contains(seconds) else { throw wrong("it is not within the years 0001 to 9999 in UTC") }
        self.date = Date(timeIntervalSince1970: Double(seconds) + fraction)
    }
}

/// A scanner for ASCII digits and the separators between them.
///
/// Digits outside ASCII are not accepted.
struct DigitScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool { rest.isEmpty }

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
    mutating func date() -> (year: Int, month: Int, day: Int)? {
        guard let year = number(digits: 4), skip("-"), let month = number(digits: 2), skip("-"),
            let day = number(digits: 2)
        else { return nil }
        return (year, month, day)
    }

    /// Scans a decimal point and up to nine digits; returns 0 if there is no point.
    fileprivate mutating func fraction() -> Double? {
        guard skip(".") else { return 0 }
        let digits = rest.prefix { UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9") }
        guard digits.count <= 9, let number = Int(digits: digits) else { return nil }
        rest = rest.dropFirst(digits.count)
        return digits.reduce(Double(number)) { value, _ in value / 10 }
    }

    /// Scans `Z`, `+01:00` or `+0100`, and returns the offset in seconds.
    fileprivate mutating func offset() -> Int? {
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
    init?(digits: some Collection<UInt8>) {
        guard (1...9).contains(digits.count), digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        self = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// Returns the quotient, rounded down, and the remainder, which is never negative.
    func dividedDown(by divisor: Int) -> (quotient: Int, rest: Int) {
        let (quotient, rest) = quotientAndRemainder(dividingBy: divisor)
        return rest < 0 ? (quotient - 1, rest + divisor) : (quotient, rest)
    }
}

extension ClosedRange<Int> {
    /// Returns the nearest integer in the range, rounded towards zero; the lower bound for NaN.
    func clamping(_ value: Double) -> Int {
        if value >= Double(upperBound) { return upperBound }
        return value > Double(lowerBound) ? Int(value) : lowerBound
    }
}

func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
