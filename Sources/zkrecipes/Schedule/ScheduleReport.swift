import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// The status of a scheduled task, as values for the dashboard.
struct ScheduleReport: Sendable {
    /// The records of all runs, by the start of their periods.
    var runs: [RunRecord]
    /// The participants of the task's election, the leader first.
    var nodes: [String]
    /// The pending operator commands; `nil` if no node has ever led the task.
    var commands: OperatorCommands?

    /// The number of runs that are shown.
    static let shownRuns = 20
    /// The lateness after which a period without a run is reported.
    static let tolerance = Duration.seconds(60)

    /// The start of the next period, as the record of the last one names it; it may be in the past.
    ///
    /// The schedule itself is not stored in the ensemble.
    var next: Timestamp? { runs.last { $0.kind == .scheduled }?.end }

    /// Whether the next period has started, and no node has claimed its run in time.
    func isOverdue(at now: Timestamp) -> Bool {
        guard let next, commands?.pause == nil, !runs.contains(where: \.state.isOpen) else { return false }
        return now - next > Self.tolerance
    }

    /// What an operator should look at, one sentence in each line.
    func problems(at now: Timestamp) -> [String] {
        var problems: [String] = []
        if nodes.isEmpty { problems.append("no node takes part: nothing runs until one does") }
        problems += runs.filter { $0.state == .awaitingOperator }.map {
            "the run of \($0.period) waits for a decision: use `zkrecipes schedule answer`"
        }
        if let last = runs.last(where: { !$0.state.isOpen && $0.state != .skipped }), last.state != .completed {
            problems.append(
                "the run of \(last.period) \(last.state == .failed ? "failed" : "was abandoned")"
                    + (last.message.map { ": \(ZNodeFacts.shortened($0, to: 1024))" } ?? ""))
        }
        if isOverdue(at: now), let next {
            problems.append("the period of \(next.secondsText) has started, and no node has claimed its run")
        }
        return problems
    }

    /// The values of the JSON object.
    func form(at now: Timestamp) -> JSONForm { JSONForm(self, now) }

    struct JSONForm: Encodable, Sendable {
        struct Pause: Encodable, Sendable {
            var reason, requestedBy: String
        }

        struct Run: Encodable, Sendable {
            var period, kind, state: String
            var start: Int64
            var end, startedAt, endedAt, lateness, duration: Int64?
            var participantID: String
            var attempt: Int
            var token: Int64?
            var message, note: String?

            init(_ run: RunRecord) {
                (period, kind, state) = (run.period, run.kind.rawValue, run.state.rawValue)
                (start, end) = (run.start.millisecondsSince1970, run.end?.millisecondsSince1970)
                (startedAt, endedAt) = (run.startedAt?.millisecondsSince1970, run.endedAt?.millisecondsSince1970)
                lateness = run.startedAt.map { max(.zero, $0 - run.start).milliseconds }
                duration = run.duration?.milliseconds
                (participantID, attempt, token) = (run.participantID, run.attempt, run.token?.rawValue)
                message = run.message.map { ZNodeFacts.shortened($0, to: 1024) }
                note = run.note.map { ZNodeFacts.shortened($0, to: 1024) }
            }
        }

        var leader: String?
        var nodes: [String]
        var next: Int64?
        var isOverdue: Bool
        var pause: Pause?
        var commands: [String]
        /// The commands that `schedule withdraw` can take back.
        var withdrawable: [String]
        var runs: [Run]
        var problems: [String]

        init(_ report: ScheduleReport, _ now: Timestamp) {
            (leader, nodes) = (report.nodes.first, report.nodes)
            next = report.next?.millisecondsSince1970
            isOverdue = report.isOverdue(at: now)
            func short(_ text: String) -> String { ZNodeFacts.shortened(text, to: 1024) }
            func lines(_ commands: OperatorCommands) -> [String] {
                commands == OperatorCommands() ? [] : commands.lines.map(short)
            }
            pause = report.commands?.pause.map {
                Pause(reason: short($0.reason), requestedBy: short($0.requestedBy))
            }
            var pending = report.commands ?? OperatorCommands()
            pending.pause = nil
            commands = lines(pending)
            withdrawable = lines(pending.only(Set(OperatorCommands.Kind.allCases)))
            runs = report.runs.suffix(ScheduleReport.shownRuns).map(Run.init)
            problems = report.problems(at: now)
        }
    }
}
