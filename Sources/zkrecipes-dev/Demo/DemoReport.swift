import CommandLineSupport

/// The results of a demo as text and as JSON.
struct DemoReport: Sendable {
    var evidence: DemoEvidence
    var findings: DemoFindings
    var steady: SteadyTraffic?
    var plan: DemoPlan
    /// The error that ended the demo early.
    var failure: String?

    var isSuccess: Bool { findings.promiseHeld && failure == nil }

    // MARK: Text

    /// The summary: a table of windows, the counts, the verdict.
    var lines: [String] {
        [""] + windowTable.map { "  " + $0 } + [""] + counts.map { "  " + $0 } + ["", "  " + verdict]
    }

    private var windowTable: [String] {
        var rows = [["window", "fault", "all paused after", "task ran", "resumed after"]]
        for (found, seen) in zip(findings.windows, evidence.windows) {
            let resumed = found.resumed
            let range =
                resumed.isEmpty ? "-" : "\(Text.time(resumed[0])) … \(Text.time(resumed[resumed.count - 1]))"
            rows.append([
                String(found.number), seen.fault?.rawValue ?? "", found.paused.map(Text.time) ?? "-",
                found.ran.map(Text.time) ?? "-", seen.failure == nil ? range : "\(range) (lost)",
            ])
        }
        return Text.table(rows, rightAligned: [0, 2, 3])
    }

    private var counts: [String] {
        var rows = [
            ["events processed", Text.grouped(findings.processed), ""],
            ["events inside a window", Text.grouped(findings.insideWindows), "must be 0"],
            ["events let in with an old token", Text.grouped(findings.withOldToken), "must be 0"],
            [
                "events refused by token", Text.grouped(findings.refusedByToken),
                findings.refusedByToken == 0 ? "" : "frozen during the event until it was too late",
            ],
        ]
        if let steady {
            rows.append([
                "requests in steady state", Text.fixed(steady.perProcessorAndSecond, 2),
                "per second and processor",
            ])
        }
        return Text.table(rows, rightAligned: [1])
    }

    private var verdict: String {
        if let failure { return "The demo did not complete: \(failure)" }
        guard findings.promiseHeld else {
            return "THE PROMISE WAS BROKEN: events were processed while a task ran alone."
        }
        return "The promise held: no event was processed while a task ran alone."
    }

    // MARK: JSON

    /// One JSON object in one line, with times in milliseconds.
    var json: String { Text.json(JSONForm(self)) }

    /// The structure of the JSON object.
    private struct JSONForm: Encodable {
        struct Window: Encodable {
            var number: Int
            var fault: String?
            var pausedAfter: Double?
            var ran: Double?
            var resumedAfter: [Double]
            var failure: String?
        }

        var promiseHeld: Bool
        var eventsProcessed: Int
        var eventsInsideWindows: Int
        var eventsWithOldToken: Int
        var eventsRefusedByToken: Int
        var requestsPerProcessorAndSecond: Double?
        var windows: [Window]
        var failure: String?

        init(_ report: DemoReport) {
            let findings = report.findings
            promiseHeld = findings.promiseHeld
            eventsProcessed = findings.processed
            eventsInsideWindows = findings.insideWindows
            eventsWithOldToken = findings.withOldToken
            eventsRefusedByToken = findings.refusedByToken
            requestsPerProcessorAndSecond = report.steady?.perProcessorAndSecond
            failure = report.failure
            windows = zip(findings.windows, report.evidence.windows).map { found, seen in
                Window(
                    number: found.number, fault: seen.fault?.rawValue,
                    pausedAfter: found.paused.map { $0 / .milliseconds(1) },
                    ran: found.ran.map { $0 / .milliseconds(1) },
                    resumedAfter: found.resumed.map { $0 / .milliseconds(1) }, failure: seen.failure)
            }
        }
    }

    /// Every window, then every event, each as one JSON object in one line: times in milliseconds since the first event.
    var recording: String {
        let start = evidence.processors.compactMap { $0.events.first?.begin }.min() ?? 0
        let milliseconds = { (instant: Int64) in Double(instant - start) / 1_000_000 }
        let windows = evidence.windows.map { window in
            Text.json(
                RecordedWindow(
                    window: window.number, requested: window.asked.map(milliseconds),
                    opened: window.opened.map(milliseconds), closed: milliseconds(window.closed), token: window.token))
        }
        let events = evidence.processors.flatMap { processor in
            processor.events.map { event in
                Text.json(
                    RecordedEvent(
                        processor: processor.name, begin: milliseconds(event.begin), end: milliseconds(event.end),
                        token: event.token))
            }
        }
        return (windows + events).map { $0 + "\n" }.joined()
    }

    private struct RecordedWindow: Encodable {
        var window: Int
        var requested: Double?
        var opened: Double?
        var closed: Double
        var token: Int64?
    }

    private struct RecordedEvent: Encodable {
        var processor: String
        var begin: Double
        var end: Double
        var token: Int64
    }
}
