internal import Foundation

/// Instants as text, in UTC: `2026-03-08T07:00:00Z`, or with milliseconds `2026-03-08T07:00:00.250Z`.
///
/// Made by hand, because formatters cost fifty times as much, and because text in znodes must be the same everywhere.
struct UniversalTime {
    let date: Date

    /// To the second, rounded down.
    static func text(_ instant: Date) -> String {
        let seconds = Int(instant.timeIntervalSince1970.rounded(.down))
        return stem(seconds) + "Z"
    }

    /// To the millisecond.
    static func preciseText(_ instant: Date) -> String {
        let milliseconds = Int((instant.timeIntervalSince1970 * 1000).rounded())
        let seconds = Int((Double(milliseconds) / 1000).rounded(.down))
        let rest = String(milliseconds - seconds * 1000)
        return "\(stem(seconds)).\(String(repeating: "0", count: 3 - rest.count))\(rest)Z"
    }

    private static func stem(_ seconds: Int) -> String {
        let day = Int((Double(seconds) / 86_400).rounded(.down))
        let rest = seconds - day * 86_400
        let time = [rest / 3600, rest / 60 % 60, rest % 60].map(twoDigits).joined(separator: ":")
        return "\(LocalDay(number: day))T\(time)"
    }

    /// Reads what the functions above write.
    init?(_ text: String) {
        guard text.hasSuffix("Z") else { return nil }
        let halves = text.dropLast().split(separator: "T", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let day = halves[0].split(separator: "-").map { Int($0) }
        let time = halves[1].split(separator: ":").map { Double($0) }
        guard day.count == 3, time.count == 3, let year = day[0], let month = day[1], let number = day[2],
            let hour = time[0], let minute = time[1], let second = time[2],
            let local = LocalDay(year: year, month: month, day: number)
        else { return nil }
        date = Date(timeIntervalSince1970: Double(local.number) * 86_400 + hour * 3600 + minute * 60 + second)
    }
}
