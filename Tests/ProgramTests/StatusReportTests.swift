import ArgumentParser
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes
@testable import zkrecipes

@Suite struct StatusReportTests {
    private func report(
        _ activity: ExclusiveStatus.Processor.Activity, isWindowWanted: Bool, isAfterCrash: Bool = false
    ) -> StatusReport {
        let window = ExclusiveStatus.Window(
            participantID: "operator", reason: "test", requestedAt: Timestamp(millisecondsSince1970: 0),
            token: FencingToken(rawValue: 1))
        let processor = ExclusiveStatus.Processor(id: "one", host: "host", pid: 7, activity: activity)
        return StatusReport(
            base: "/orders",
            status: ExclusiveStatus(
                window: isWindowWanted ? window : nil, crashedWindows: isAfterCrash ? [window] : [],
                processors: [processor], recentWindows: []))
    }

    @Test func `a gate that waits for events is shown with what it reports, with a window and without`() {
        let draining = ExclusiveStatus.Processor.Activity.draining(inside: 2, oldest: .seconds(12))
        let wanted = report(draining, isWindowWanted: true)
        #expect(wanted.lines.contains { $0.contains("not paused: 2 inside, the oldest for") })
        #expect(wanted.lines[0].contains("waits for one"))
        #expect(wanted.json.contains(#""state":"draining""#) && wanted.json.contains(#""notPaused":["one"]"#))
        let unwanted = report(draining, isWindowWanted: false)
        #expect(unwanted.lines.contains { $0.contains("draining: 2 inside, the oldest for") })
        #expect(unwanted.json.contains(#""notPaused":[]"#) && unwanted.json.contains(#""oldest":12000"#))
    }

    @Test func `holds are shown with the processors that have not paused, also during a window`() {
        var report = report(.draining(inside: 2, oldest: .seconds(12)), isWindowWanted: false)
        report.status.holds = [
            ExclusiveHold(participantID: "ada", reason: "a move", since: Timestamp(millisecondsSince1970: 60_000))
        ]
        #expect(report.lines[0] == "/orders: a hold waits for one.")
        #expect(report.lines[2] == "  by ada since 1970-01-01T00:01:00Z: a move")
        #expect(report.lines.contains { $0.contains("not paused: 2 inside") })
        #expect(report.json.contains(#""holds":[{"participantID":"ada","reason":"a move","since":60000}]"#))
        #expect(report.json.contains(#""notPaused":["one"]"#))
        report.status.processors[0].activity = .paused
        #expect(report.lines[0] == "/orders: all processors are held.")
        report.status.window = self.report(.paused, isWindowWanted: true).status.window
        #expect(report.lines[0] == "/orders: a window is open.")
        #expect(report.lines[3] == "  by ada since 1970-01-01T00:01:00Z: a move")
    }

    @Test func `the hold to remove is the only one, or that of the owner who is named`() throws {
        let holds = ["ada", "bob"].map {
            ExclusiveHold(participantID: $0, reason: "a move", since: Timestamp(millisecondsSince1970: 60_000))
        }
        #expect(try ExclusiveUnholdCommand.select(nil, from: [], of: "/orders") == nil)
        #expect(try ExclusiveUnholdCommand.select(nil, from: [holds[0]], of: "/orders") == holds[0])
        #expect(try ExclusiveUnholdCommand.select("bob", from: holds, of: "/orders") == holds[1])
        for owner in [nil, "eve"] {
            let error = #expect(throws: ValidationError.self) {
                try ExclusiveUnholdCommand.select(owner, from: holds, of: "/orders")
            }
            for part in ["by ada since", "by bob since"] { #expect(error?.message.contains(part) == true) }
        }
    }

    @Test func `a window that crashed is shown until somebody has waited for it`() {
        let crashed = report(.paused, isWindowWanted: false, isAfterCrash: true)
        #expect(crashed.lines[1].contains("A window crashed"))
        #expect(crashed.lines[2].contains("by operator since"))
        #expect(crashed.json.contains(#""crashedWindows":[{"#))
        let next = report(.paused, isWindowWanted: true, isAfterCrash: true)
        #expect(next.lines[0].contains("a window waits, because the previous window crashed"))
        #expect(report(.paused, isWindowWanted: true).lines[0].contains("a window is open"))
    }

    @Test func `a window that evicts processors is shown as waiting for them, not as one that has ended`() {
        var report = report(.paused, isWindowWanted: true)
        var record = WindowRecord(
            id: "1", token: FencingToken(rawValue: 1), participantID: "operator", reason: "test",
            requestedAt: Timestamp(millisecondsSince1970: 60_000),
            drainDuration: .seconds(30), duration: .seconds(1), outcome: .evicting, slowestProcessor: nil,
            evicted: ["two"])
        report.status.recentWindows = [record]
        #expect(report.lines[0].contains("a window opens at 1970-01-01T00:01:30Z"))
        #expect(report.lines[0].contains("evicted processors have ended: two"))
        #expect(report.lines.contains("No window has ended yet."))
        // One that ended too early is for the next window to wait for.
        record.token = FencingToken(rawValue: 0)
        report.status.recentWindows = [record]
        #expect(report.lines[0].contains("a window is open"))
        #expect(report.lines.contains { $0.contains("evicting") && $0.contains("two") })
    }

    @Test func `a gate that opened again is shown with what was inside then`() {
        let reopened = report(.reopened(inside: 1, oldest: .seconds(3)), isWindowWanted: false)
        #expect(reopened.lines.contains { $0.contains("running again: 1 inside, the oldest for") })
        #expect(reopened.json.contains(#""state":"reopened""#) && reopened.json.contains(#""inside":1"#))
        #expect(report(.running, isWindowWanted: false).json.contains(#""state":"running""#))
    }
}
