import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// The status of an exclusive mode as text and as JSON.
struct StatusReport {
    var base: String
    var status: ExclusiveStatus

    // MARK: Text

    var lines: [String] { window + holds + crashed + [""] + processors + [""] + recentWindows }

    private var window: [String] {
        guard let window = status.window, let phase else {
            return [status.holds.isEmpty ? "\(base): no window is requested or open." : "\(base): \(held)."]
        }
        let state =
            switch phase {
            case .draining(let waiting): "a window waits for \(waiting.joined(separator: ", "))"
            case .recovering: "a window waits, because the previous window crashed"
            case .evicting(let evicted, let until):
                "a window opens at \(until.secondsText), when the sessions of evicted processors have "
                    + "ended: \(evicted.joined(separator: ", "))"
            case .open: "a window is open"
            }
        return ["\(base): \(state).", line(window)]
    }

    /// What a window that is requested or open waits for.
    enum Phase: Sendable, Equatable {
        /// These processors have not paused.
        case draining(notPaused: [String])
        /// The resume delay of an earlier window, which crashed, is not over.
        case recovering
        /// The sessions of evicted processors may not have ended before this time.
        case evicting([String], until: Timestamp)
        /// Nothing: the operation runs.
        case open

        /// The name in JSON.
        var name: String {
            switch self {
            case .draining: "draining"
            case .recovering: "recovering"
            case .evicting: "evicting"
            case .open: "open"
            }
        }
    }

    /// The phase of the current window; `nil` if there is none.
    var phase: Phase? {
        guard status.window != nil else { return nil }
        let waiting = status.notPaused.map(\.id)
        if !waiting.isEmpty { return .draining(notPaused: waiting) }
        if !status.crashedWindows.isEmpty { return .recovering }
        guard let evicting, let until = evicting.drainDuration else { return .open }
        return .evicting(evicting.evicted, until: evicting.requestedAt + until)
    }

    /// The state during a hold and without a window.
    private var held: String {
        let waiting = status.notPaused.map(\.id)
        return waiting.isEmpty ? "all processors are held" : "a hold waits for \(waiting.joined(separator: ", "))"
    }

    private var holds: [String] {
        guard !status.holds.isEmpty else { return [] }
        return ["Processors stay paused until these holds are removed:"] + status.holds.map { "  " + $0.line }
    }

    /// The current window's record of the processors that it evicted.
    private var evicting: WindowRecord? {
        status.recentWindows.last { $0.outcome == .evicting && $0.token == status.window?.token }
    }

    private var crashed: [String] {
        guard !status.crashedWindows.isEmpty else { return [] }
        return ["A window crashed; processors stay paused until the resume delay is over:"]
            + status.crashedWindows.map(line)
    }

    private func line(_ window: ExclusiveStatus.Window) -> String {
        "  by \(window.participantID) since \(window.requestedAt.secondsText), token \(window.token): \(window.reason)"
    }

    private var processors: [String] {
        guard !status.processors.isEmpty else { return ["No processors."] }
        let rows = status.processors.map { processor in
            [processor.id, processor.host, processor.pid == 0 ? "" : String(processor.pid), text(processor)]
        }
        return Text.table([["PROCESSOR", "HOST", "PID", "STATE"]] + rows, rightAligned: [2])
    }

    private var recentWindows: [String] {
        let ended = status.recentWindows.filter { $0 != evicting }
        guard !ended.isEmpty else { return ["No window has ended yet."] }
        let rows = ended.suffix(10).map { record in
            [
                record.requestedAt.secondsText, record.outcome.rawValue, record.drainDuration.map(Text.time) ?? "-",
                Text.time(record.duration), record.slowestProcessor ?? "", record.evicted.joined(separator: ", "),
                record.participantID,
                record.reason,
            ]
        }
        let head = ["LAST WINDOWS", "OUTCOME", "PAUSED AFTER", "ENDED AFTER", "SLOWEST", "EVICTED", "BY", "REASON"]
        return Text.table([head] + rows, rightAligned: [2, 3])
    }

    private func text(_ processor: ExclusiveStatus.Processor) -> String {
        switch processor.activity {
        case .running: "running"
        case .paused: "paused"
        case .recovering: "waiting before it resumes, because a window crashed"
        case .reopened(let inside, let oldest): "running again" + Self.text(inside, oldest)
        // Without a window or a hold, the gate is stopping or has not reopened yet.
        case .draining(let inside, let oldest):
            (status.isPauseRequested ? "not paused" : "draining") + Self.text(inside, oldest)
        }
    }

    /// The events inside the gate, as it last reported them.
    private static func text(_ inside: Int?, _ oldest: Duration?) -> String {
        guard let inside else { return "" }
        return ": \(inside) inside" + (oldest.map { ", the oldest for \(Text.time($0))" } ?? "")
    }

    // MARK: JSON

    /// One JSON object in one line, with times in milliseconds.
    var json: String { Text.json(form) }

    /// The values of the JSON object.
    var form: JSONForm { JSONForm(self) }

    struct JSONForm: Encodable, Sendable {
        struct Window: Encodable, Sendable {
            var participantID, reason: String
            var requestedAt: Int64
            var token: Int64
            /// The phase of the current window: `draining`, `recovering`, `evicting` or `open`.
            var phase: String?
        }

        struct Hold: Encodable, Sendable {
            var participantID, reason: String
            var since: Int64
        }

        struct Processor: Encodable, Sendable {
            var id, host: String
            var pid: Int32
            /// The state: `running`, `draining`, `reopened`, `recovering` or `paused`.
            ///
            /// A `reopened` processor runs again after a window request was withdrawn while events were inside. A
            /// `recovering` processor waits before it resumes, because a window crashed.
            var state: String
            var inside: Int?
            var oldest: Int64?
            /// The time since which the dashboard has seen this state; only there.
            var since: Int64?
        }

        struct Record: Encodable, Sendable {
            var participantID, reason, outcome: String
            var requestedAt, duration, token: Int64
            var drainDuration: Int64?
            var slowestProcessor: String?
            var evicted: [String]
        }

        var base: String
        var window: Window?
        var holds: [Hold]
        var crashedWindows: [Window]
        var processors: [Processor]
        var notPaused: [String]
        var recentWindows: [Record]

        init(_ report: StatusReport) {
            let status = report.status
            base = report.base
            window = status.window.map(Self.window)
            window?.phase = report.phase?.name
            holds = status.holds.map {
                Hold(
                    participantID: $0.participantID, reason: $0.reason, since: $0.since.millisecondsSince1970)
            }
            crashedWindows = status.crashedWindows.map(Self.window)
            processors = status.processors.map(Self.processor)
            notPaused = status.notPaused.map(\.id)
            recentWindows = status.recentWindows.map {
                Record(
                    participantID: $0.participantID, reason: $0.reason, outcome: $0.outcome.rawValue,
                    requestedAt: $0.requestedAt.millisecondsSince1970, duration: $0.duration.milliseconds,
                    token: $0.token.rawValue,
                    drainDuration: $0.drainDuration?.milliseconds, slowestProcessor: $0.slowestProcessor,
                    evicted: $0.evicted)
            }
        }

        private static func window(_ window: ExclusiveStatus.Window) -> Window {
            Window(
                participantID: window.participantID, reason: window.reason,
                requestedAt: window.requestedAt.millisecondsSince1970,
                token: window.token.rawValue)
        }

        private static func processor(_ processor: ExclusiveStatus.Processor) -> Processor {
            var form = Processor(id: processor.id, host: processor.host, pid: processor.pid, state: "")
            switch processor.activity {
            case .running: form.state = "running"
            case .paused: form.state = "paused"
            case .recovering: form.state = "recovering"
            case .draining(let inside, let oldest):
                (form.state, form.inside, form.oldest) = ("draining", inside, oldest?.milliseconds)
            case .reopened(let inside, let oldest):
                (form.state, form.inside, form.oldest) = ("reopened", inside, oldest?.milliseconds)
            }
            return form
        }
    }
}
