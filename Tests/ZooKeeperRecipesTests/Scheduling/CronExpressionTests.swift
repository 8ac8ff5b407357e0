import Foundation
import Testing

@testable import ZooKeeperRecipes

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
