import ArgumentParser
import Testing

@testable import zkrecipes

@Suite struct ScheduleCommandTests {
    private func lines(_ arguments: String...) throws -> [String] {
        let command = try #require(try ZKRecipes.parseAsRoot(["schedule", "next"] + arguments) as? ScheduleNextCommand)
        return try command.lines()
    }

    @Test func `the change to summer time shows with its reason`() throws {
        let lines = try lines("30 2 * * *", "--tz", "America/New_York", "--from", "2026-03-07", "--count", "3")
        #expect(
            lines == [
                "2026-03-07T02:30  2026-03-07T02:30:00-0500  2026-03-07T07:30:00Z",
                "2026-03-08T02:30  2026-03-08T03:00:00-0400  2026-03-08T07:00:00Z  "
                    + "there is no 02:30 on 2026-03-08 in America/New_York: the first instant after it",
                "2026-03-09T02:30  2026-03-09T02:30:00-0400  2026-03-09T06:30:00Z",
            ])
    }

    @Test func `a day begins with its first instant in the zone`() throws {
        let lines = try lines("0 0 * * *", "--tz", "Asia/Tokyo", "--from", "2026-01-01", "--count", "1")
        #expect(lines == ["2026-01-01T00:00  2026-01-01T00:00:00+0900  2025-12-31T15:00:00Z"])
    }

    @Test(arguments: [
        ["0 0 * *"], ["0 0 * * *", "--tz", "Nowhere"], ["0 0 * * *", "--from", "soon"], ["0 0 * * *", "--count", "0"],
    ])
    func `what cannot be is refused`(arguments: [String]) {
        #expect(throws: (any Error).self) { try ZKRecipes.parseAsRoot(["schedule", "next"] + arguments) }
    }
}
