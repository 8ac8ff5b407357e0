import Testing

@testable import ZooKeeperRecipes
@testable import zkrecipes

@Suite struct StatusReportTests {
    private func report(_ activity: ExclusiveStatus.Processor.Activity, isWindowWanted: Bool) -> StatusReport {
        let window = ExclusiveStatus.Window(
            owner: "operator", reason: "test", requested: .zero, token: FencingToken(rawValue: 1))
        let processor = ExclusiveStatus.Processor(name: "one", host: "host", pid: 7, activity: activity)
        return StatusReport(
            base: "/orders",
            status: ExclusiveStatus(
                window: isWindowWanted ? window : nil, processors: [processor], lastWindows: []))
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

    @Test func `a gate that opened again is shown with what was inside then`() {
        let reopened = report(.reopened(inside: 1, oldest: .seconds(3)), isWindowWanted: false)
        #expect(reopened.lines.contains { $0.contains("running again: 1 inside, the oldest for") })
        #expect(reopened.json.contains(#""state":"reopened""#) && reopened.json.contains(#""inside":1"#))
        #expect(report(.running, isWindowWanted: false).json.contains(#""state":"running""#))
    }
}
