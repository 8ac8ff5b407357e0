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

    @Test func `a leap day that is none is refused, and so is a day that the zone left out`() {
        for (arguments, right) in [
            (["--from", "2026-02-30"], "2026-02 has the days 01 to 28"),
            (["--from", "2026-02-30T00:00:00Z"], "2026-02 has the days 01 to 28"),
            (["--from", "0000-01-01"], "0001 to 9999"), (["--from", "1000000000-01-01"], "written as 2026-03-07"),
            (["--from", "2026-03-07T24:00:00Z"], "midnight is T00:00:00 of the next day"),
            (["--from", "\u{662}\u{660}\u{662}\u{666}-03-07"], "written as 2026-03-07"),
            (["--from", "-1"], "written as 2026-03-07"), (["--from", ""], "written as 2026-03-07"),
            (["--from", "2011-12-30", "--tz", "Pacific/Apia"], "take 2011-12-31"),
            (["--tz", "Mars/Olympus"], "Europe/Berlin"), (["--count", "-1"], "at least 1"),
        ] {
            let message = message(["schedule", "next", "0 0 * * *"] + arguments)
            #expect(message.contains(right) && message.contains(arguments[1]), "\(message)")
        }
    }

    @Test(arguments: [
        "9223372036854775807", "9223372036854775808", "0", "-1", "1.5", "\u{661}", "1576800001", "", "18251d", "500ms",
    ])
    func `an interval beyond its bounds is refused with what would be right`(_ every: String) {
        let message = message(["schedule", "run", "/t", "--id", "n", "--every", every, "--", "true"])
        #expect(message.contains("--every is \(every);"), "\(message)")
        #expect(message.contains("from 1s to 18250d"), "\(message)")
    }

    @Test(arguments: ["--missed-after", "--maximum-clock-skew", "--grace"])
    func `a duration beyond its bounds is refused with what would be right`(_ option: String) {
        for value in ["-1", "inf", "nan", "1e300", "86401", "x", "\u{661}", "0x10"] {
            let message = message([
                "schedule", "run", "/t", "--id", "n", "--every", "60", option, value, "--", "true",
            ])
            #expect(message.contains("'\(value)'") && message.contains(option), "\(message)")
            #expect(message.contains("to 1d; the units are"), "\(message)")
        }
    }

    @Test(arguments: [
        "all:-1", "all:nan", "all:0x400", "all:1000000001", "all:", "all", "everything", "all:\u{661}000",
    ])
    func `a span for missed periods beyond its bounds is refused with what would be right`(_ missed: String) {
        let message = message([
            "schedule", "run", "/t", "--id", "n", "--every", "60", "--missed", missed, "--", "true",
        ])
        #expect(
            message.contains("\"\(missed)\"") && message.contains("all:<duration>, with at most 1000000000s"),
            "\(message)")
    }

    @Test func `a backfill's instants are refused when they do not exist`() {
        for (option, other) in [("--from", "--through"), ("--through", "--from")] {
            for value in ["2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "0000-01-01T00:00:00Z", "2026-01-01", "-5"] {
                let message = message(["schedule", "backfill", "/t", option, value, other, "2026-01-01T00:00:00Z"])
                #expect(message.contains("'\(value)'") && message.contains(option), "\(message)")
            }
        }
    }

    @Test func `local times are told with the offset of the day`() throws {
        #expect(
            try lines("0 12 * * *", "--tz", "Australia/Lord_Howe", "--from", "2026-04-04", "--count", "2") == [
                "2026-04-04T12:00  2026-04-04T12:00:00+1100  2026-04-04T01:00:00Z",
                "2026-04-05T12:00  2026-04-05T12:00:00+1030  2026-04-05T01:30:00Z",
            ])
        #expect(
            try lines("0 12 * * *", "--from", "2026-04-04T12:00:00Z", "--count", "1") == [
                "2026-04-05T12:00  2026-04-05T12:00:00Z  2026-04-05T12:00:00Z"
            ])
    }

    @Test func `the help of both commands names what a cron expression may be`() {
        for help in [
            ZKRecipes.helpMessage(for: ScheduleNextCommand.self), ZKRecipes.helpMessage(for: ScheduleRunCommand.self),
        ] {
            let text = help.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            for part in ["L is the last", "FRI#2 is the second Friday", "FRIL or 5L"] { #expect(text.contains(part)) }
        }
    }

    /// What the program says about arguments instead of doing something.
    private func message(_ arguments: [String]) -> String {
        do {
            _ = try ZKRecipes.parseAsRoot(arguments)
            return "accepted"
        } catch {
            return ZKRecipes.fullMessage(for: error)
        }
    }

    @Test func `an expression with one field is told in the singular`() {
        #expect(message(["schedule", "next", "@daily"]).contains("\"@daily\" has 1 field; a schedule has five"))
        #expect(message(["schedule", "next", "0 0"]).contains("\"0 0\" has 2 fields; a schedule has five"))
    }

    @Test func `the usage of a pause requires the reason`() {
        let pause = ZKRecipes.helpMessage(for: SchedulePauseCommand.self)
        #expect(pause.contains(" --reason <reason>") && !pause.contains("[--reason <reason>]"), "\(pause)")
        #expect(message(["schedule", "pause", "/t"]).contains("Missing expected argument '--reason <reason>'"))
    }

    @Test func `a limit of periods and a kind to withdraw beyond what is allowed are refused`() {
        let range = ["--from", "2026-01-01T00:00:00Z", "--through", "2026-01-02T00:00:00Z"]
        for value in ["0", "-1", "1000001", "many"] {
            let message = message(["schedule", "backfill", "/t", "--max-periods", value] + range)
            #expect(message.contains("'\(value)'") && message.contains("from 1 to 1000000"), "\(message)")
        }
        let kind = message(["schedule", "withdraw", "/t", "pause"])
        #expect(kind.contains("'pause'") && kind.contains("now, skip, backfill"), "\(kind)")
    }

    @Test func `a schedule that is missing or given twice, and the argument that is wrong, are named`() {
        let run = ["schedule", "run", "/t", "--id", "n", "--", "true"]
        func refusal(_ options: String...) -> String { message(run[..<5] + options + run[5...]) }
        let missing = refusal()
        #expect(missing.contains("--cron, --every or --with-leadership is required"), "\(missing)")
        #expect(!missing.contains("exclude"))
        #expect(refusal("--every", "1m", "--with-leadership").contains("exclude each other"))
        #expect(refusal("--cron", "61 * * * *").contains("--cron: \"61\""), "\(refusal("--cron", "61 * * * *"))")
        #expect(refusal("--cron", "1 * * * *", "--tz", "Nowhere").contains("--tz: \"Nowhere\""))
        #expect(message(["schedule", "next", "61 * * * *"]).contains("the expression: \"61\""))
    }

    @Test(arguments: [
        ["0 0 * *"], ["0 0 * * *", "--tz", "Nowhere"], ["0 0 * * *", "--from", "soon"], ["0 0 * * *", "--count", "0"],
    ])
    func `what cannot be is refused`(arguments: [String]) {
        #expect(throws: (any Error).self) { try ZKRecipes.parseAsRoot(["schedule", "next"] + arguments) }
    }
}
