import Foundation
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import ZooKeeperScheduling

@Suite struct CronExpressionTests {
    /// The days of a month that an expression names.
    private func days(_ text: String, year: Int = 2026, month: Int) throws -> [Int] {
        let expression = try CronExpression(text)
        var day = LocalDay(number: 0)
        while (day.year, day.month) < (year, month) { day = LocalDay(number: day.number + 28) }
        while (day.year, day.month) >= (year, month) { day = day.previous }
        var found: [Int] = []
        day = day.next
        while day.month == month {
            if expression.includes(day) { found.append(day.day) }
            day = day.next
        }
        return found
    }

    @Test func `values, ranges, steps and lists are read`() throws {
        let expression = try CronExpression("0,5-7,*/20,50/4  1-10/3 * jan,3-Apr *")
        #expect(expression.minutes.sorted() == [0, 5, 6, 7, 20, 40, 50, 54, 58])
        #expect(expression.hours.sorted() == [1, 4, 7, 10])
        #expect(expression.months.sorted() == [1, 3, 4])
        #expect(expression.description == "0,5-7,*/20,50/4 1-10/3 * jan,3-Apr *")
        #expect(!expression.isAnyHour)
        #expect(try CronExpression("0 */2 * * *").isAnyHour)
    }

    @Test func `days of the week are names or numbers, and Sunday is 0 and 7`() throws {
        // 2026-11-01 is a Sunday.
        #expect(try days("0 0 * * SUN", month: 11) == [1, 8, 15, 22, 29])
        #expect(try days("0 0 * * 7", month: 11) == [1, 8, 15, 22, 29])
        #expect(try days("0 0 * * 0", month: 11) == [1, 8, 15, 22, 29])
        #expect(try days("0 0 * * MON-wed", month: 11) == [2, 3, 4, 9, 10, 11, 16, 17, 18, 23, 24, 25, 30])
        #expect(try days("0 0 * * 5-7", month: 11) == [1, 6, 7, 8, 13, 14, 15, 20, 21, 22, 27, 28, 29])
    }

    @Test func `the second Friday, the last Friday and the last day are named`() throws {
        #expect(try days("0 0 * * FRI#2", month: 11) == [13])
        #expect(try days("0 0 * * 5L", month: 11) == [27])
        #expect(try days("0 0 * * 1#5", month: 11) == [30])
        #expect(try days("0 0 * * 2#5", month: 11) == [])
        #expect(try days("0 0 L * *", month: 2) == [28])
        #expect(try days("0 0 L * *", year: 2028, month: 2) == [29])
        #expect(try days("0 0 15,L * *", month: 4) == [15, 30])
    }

    @Test(arguments: [
        // 2026-11-01 is a Sunday.
        ("0 0 */2 * *", Array(stride(from: 1, through: 29, by: 2))),
        ("0 0 * * */2", [1, 3, 5, 7, 8, 10, 12, 14, 15, 17, 19, 21, 22, 24, 26, 28, 29]),
        ("0 0 */2 * MON", [9, 23]), ("0 0 1 * */2", [1]), ("0 0 2 * */2", []), ("0 0 */10 * 1-5", [11]),
        ("0 0 */5 * */3", [1, 11, 21]), ("0 0 *,5 * MON", [2, 9, 16, 23, 30]), ("0 0 5 * *,MON", [5]),
        ("0 0 1/2 * MON", [1, 2, 3, 5, 7, 9, 11, 13, 15, 16, 17, 19, 21, 23, 25, 27, 29, 30]),
        ("0 0 1-31/10 * MON", [1, 2, 9, 11, 16, 21, 23, 30]),
        ("0 0 L * */2", []), ("0 0 30,L * */1", [30]), ("0 0 */2 * FRI#2", [13]), ("0 0 */2 * 5L", [27]),
        ("0 0 31 * */2", []), ("0 0 */31 * *", [1]), ("0 0 */31 * MON", []),
    ])
    func `a day field that begins with a star narrows the other one down`(_ text: String, expected: [Int]) throws {
        #expect(try days(text, month: 11) == expected)
    }

    @Test func `day fields of all kinds name the days that a plain reading names`() throws {
        let numbers = ["*", "*/2", "*/3", "*/31", "13", "1-7", "1/9", "5,20-25", "L", "28,L", "*/5,4", "*,L"]
        let weekdays = [
            "*", "*/2", "*/7", "MON", "1-5", "0", "7", "5-7", "FRI#2", "MON#5", "5L", "SUNL,2", "*/3,1", "*,6",
        ]
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        // A leap year and one that is none.
        let dates = (0..<731).map { day in
            let date = Date(timeIntervalSince1970: Double(19_723 + day) * 86_400)
            return calendar.dateComponents([.year, .month, .day, .weekday], from: date)
        }
        for (number, weekday) in numbers.flatMap({ number in weekdays.map { (number, $0) } }) {
            let text = "0 0 \(number) 2,3,11 \(weekday)"
            let (expression, plain) = (try CronExpression(text), NaiveCron(text))
            let wrong = dates.enumerated().first { day, date in
                expression.includes(LocalDay(number: 19_723 + day)) != plain.names(day: date)
            }
            #expect(wrong == nil, "\(text)")
        }
    }

    @Test func `the first and the last named minute are those that a look at each one finds`() throws {
        for text in ["5,50 3,22 */9 * *", "59 23 L * 3", "0 0 29 2 *", "*/25 */23 * 2,12 1-5"] {
            let expression = try CronExpression(text)
            let days = 19_700..<21_200
            let minutes = days.filter { expression.includes(LocalDay(number: $0)) }.flatMap { day in
                (0..<1440).filter { expression.hours.contains($0 / 60) && expression.minutes.contains($0 % 60) }
                    .map { day * 1440 + $0 }
            }
            for (one, next) in zip(minutes, minutes.dropFirst()) {
                #expect(expression.first(from: one) == one && expression.last(through: one) == one)
                #expect(expression.first(from: one + 1) == next && expression.last(through: next - 1) == one)
            }
        }
    }

    @Test(arguments: [
        "\u{661} 0 * * *", "*/\u{662} 0 * * *", "0 0 * * \u{17f}UN", "0 0 * * FRI#\u{662}", "0 0 * * fr\u{131}",
        "*/+2 * * * *", "*/-2 * * * *", "*/99999999999999999999 * * * *", "0 0 * * FRI#+2",
        "99999999999999999999 * * * *",
        "0 0 * * FRI#99999999999999999999", "-1 * * * *", "0 0 1-99999999999999999999 * *", "0 0 L-1 * *", "0 0 * * *L",
        "0 0 * * *#2", "0 0 ? * *", "* * * * * *", "0x1 * * * *",
    ])
    func `digits and names are those of ASCII, and numbers have bounds`(_ text: String) {
        #expect(throws: ScheduleError.self) { try CronExpression(text) }
    }

    @Test func `a step beyond the range names its first value`() throws {
        #expect(try CronExpression("*/60 * * * *").minutes.sorted() == [0])
        #expect(try CronExpression("0 5/999999999 * * *").hours.sorted() == [5])
    }

    @Test func `with a day of the month and a day of the week, either is enough`() throws {
        #expect(try days("0 0 13 * FRI", month: 11) == [6, 13, 20, 27])
        #expect(try days("0 0 1 * MON#1", month: 11) == [1, 2])
        #expect(try days("0 0 1 * *", month: 11) == [1])
    }

    @Test(arguments: [
        ("* * * *", "four", "5"), ("60 * * * *", "minute", "0 to 59"), ("0 24 * * *", "hour", "0 to 23"),
        ("0 0 0 * *", "day of the month", "1 to 31"), ("0 0 * 13 *", "month", "JAN to DEC"),
        ("0 0 * * 8", "day of the week", "SUN to SAT"), ("5-1 * * * *", "minute", "from the lower"),
        ("*/0 * * * *", "minute", "over 0"), ("0 0 * * FRI#6", "day of the week", "1 to 5"),
        ("a * * * *", "minute", "0 to 59"), ("1,,2 * * * *", "minute", "0 to 59"), ("", "0 fields", "five"),
        ("1-2-3 * * * *", "minute", "0 to 59"), ("+1 * * * *", "minute", "0 to 59"),
        ("0 0 * * L", "day of the week", "SUN"),
    ])
    func `what cannot be is refused with the field and what would be right`(
        _ text: String, field: String, right: String
    ) throws {
        let error = try #require(throws: ScheduleError.self) { try CronExpression(text) }
        if field != "four" { #expect(error.description.contains(field)) }
        if right != "5" { #expect(error.description.contains(right)) }
    }
}
