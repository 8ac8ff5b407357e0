import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// The status of an exclusive mode as text and as JSON.
struct StatusReport {
    var base: String
    var status: ExclusiveStatus

    // MARK: Text

    var lines: [String] { window + crashed + [""] + processors + [""] + recentWindows }

    private var window: [String] {
        guard let window = status.window else { return ["\(base): no window is requested or open."] }
        let waiting = status.notPaused.map(\.id)
        let state =
            if !waiting.isEmpty {
                "a window waits for \(waiting.joined(separator: ", "))"
            } else if !status.crashedWindows.isEmpty {
                "a window waits, because the previous window crashed"
            } else if let evicting, let until = evicting.drainDuration {
                "a window opens at \((evicting.requestedAt + until).secondsText), when the sessions of evicted processors have "
                    + "ended: \(evicting.evicted.joined(separator: ", "))"
            } else {
                "a window is open"
            }
        return ["\(base): \(state).", line(window)]
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
        // Without a window, the gate is stopping or has not reopened yet.
        case .draining(let inside, let oldest):
            (status.window == nil ? "draining" : "not paused") + Self.text(inside, oldest)
        }
    }

    /// The events inside the gate, as it last reported them.
    private static func text(_ inside: Int?, _ oldest: Duration?) -> String {
        guard let inside else { return "" }
        return ": \(inside) inside" + (oldest.map { ", the oldest for \(Text.time($0))" } ?? "")
    }

    // MARK: JSON

    /// One JSON object in one line, with times in milliseconds.
    var json: String { Text.json(JSONForm(base, status)) }

    private struct JSONForm: Encodable {
        struct Window: Encodable {
            var participantID, reason: String
            var requestedAt: Int64
            var token: Int64
        }

        struct Processor: Encodable {
            var id, host: String
            var pid: Int32
            /// The state: `running`, `draining`, `reopened`, `recovering` or `paused`.
            ///
            /// A `reopened` processor runs again after a window request was withdrawn while events were inside. A
            /// `recovering` processor waits before it resumes, because a window crashed.
            var state: String
            var inside: Int?
            var oldest: Int64?
        }

        struct Record: Encodable {
            var participantID, reason, outcome: String
            var requestedAt, duration, token: Int64
            var drainDuration: Int64?
            var slowestProcessor: String?
            var evicted: [String]
        }

        var base: String
        var window: Window?
        var crashedWindows: [Window]
        var processors: [Processor]
        var notPaused: [String]
        var recentWindows: [Record]

        init(_ base: String, _ status: ExclusiveStatus) {
            self.base = base
            window = status.window.map(Self.window)
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
