import Testing

@testable import zkrecipes_dev

/// What the demo's logs prove, for logs made up by hand: a window with token 50 runs from 1000 to 2000.
@Suite struct DemoCheckTests {
    private func findings(
        _ events: [EventRecord], freezes: [ClosedRange<Int64>] = [], windows: [DemoEvidence.Window]? = nil
    ) -> DemoFindings {
        let window = DemoEvidence.Window(
            number: 1, fault: nil, asked: 900, opened: 1000, token: 50, drained: 90, closed: 2000)
        return DemoFindings(
            DemoEvidence(
                processors: [.init(name: "one", events: events, freezes: freezes)], windows: windows ?? [window]))
    }

    @Test func `events before and after a window are processed`() {
        let found = findings([
            EventRecord(begin: 1, end: 2, token: 10), EventRecord(begin: 990, end: 999, token: 10),
            EventRecord(begin: 2000, end: 2001, token: 60),
        ])
        #expect(found.promiseHeld)
        #expect(found.processed == 3)
        #expect(found.refusedByToken == 0)
        #expect(
            found.windows == [
                .init(number: 1, paused: .nanoseconds(90), ran: .nanoseconds(1000), resumed: [.zero])
            ])
    }

    @Test(arguments: [
        EventRecord(begin: 1500, end: 1501, token: 60), EventRecord(begin: 1500, end: 1501, token: 10),
        EventRecord(begin: 999, end: 1000, token: 10), EventRecord(begin: 1999, end: 2500, token: 60),
        EventRecord(begin: 1, end: 3000, token: 10),
    ])
    func `an event that touches a window breaks the promise`(event: EventRecord) {
        let found = findings([event])
        #expect(found.insideWindows == 1)
        #expect(!found.promiseHeld)
    }

    @Test func `an event with a token from before a window breaks the promise, long after it`() {
        let found = findings([EventRecord(begin: 5000, end: 5001, token: 10)])
        #expect(found.insideWindows == 0)
        #expect(found.withOldToken == 1)
        #expect(!found.promiseHeld)
    }

    @Test func `an event frozen in its middle is the store's to refuse`() {
        let found = findings([EventRecord(begin: 500, end: 1600, token: 10)], freezes: [501...1550])
        #expect(found.promiseHeld)
        #expect(found.refusedByToken == 1)
        #expect(found.processed == 0)
    }

    @Test func `a freeze excuses no event that begins after it`() {
        let found = findings([EventRecord(begin: 1560, end: 1561, token: 10)], freezes: [501...1550])
        #expect(found.insideWindows == 1)
        #expect(found.withOldToken == 1)
    }

    @Test func `a freeze excuses no event with a new token`() {
        let found = findings([EventRecord(begin: 500, end: 1600, token: 60)], freezes: [501...1550])
        #expect(found.insideWindows == 1)
    }

    @Test func `a window that never opened forbids nothing`() {
        let window = DemoEvidence.Window(number: 1, fault: nil, asked: 900, closed: 2000, failure: "busy")
        let found = findings([EventRecord(begin: 1500, end: 1501, token: 10)], windows: [window])
        #expect(found.promiseHeld)
        #expect(found.windows == [.init(number: 1, paused: nil, ran: nil, resumed: [])])
    }

    @Test func `a recording lists windows and events in milliseconds since the first event`() {
        let evidence = DemoEvidence(
            processors: [
                .init(name: "one", events: [EventRecord(begin: 2_000_000, end: 3_500_000, token: 10)])
            ],
            windows: [
                .init(
                    number: 1, fault: nil, asked: 4_000_000, opened: 5_000_000, token: 50, drained: 90,
                    closed: 6_250_000)
            ])
        let plan = DemoPlan(
            connectionString: "", sessionTimeout: 4, rate: 1, taskSeconds: 1, resumeDelay: 1, folder: "", base: "/demo")
        let report = DemoReport(evidence: evidence, findings: DemoFindings(evidence), plan: plan)
        #expect(
            report.recording == """
                {"closed":4.25,"opened":3,"requested":2,"token":50,"window":1}
                {"begin":0,"end":1.5,"processor":"one","token":10}

                """)
    }
}
