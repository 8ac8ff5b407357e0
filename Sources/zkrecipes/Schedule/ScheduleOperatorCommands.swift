import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// The arguments that select a task.
struct ScheduleTarget: ParsableArguments {
    @Argument(help: ScheduleCommand.pathHelp, transform: { try parsePath($0, name: "PATH", example: "/app/report") })
    var path: String

    @OptionGroup var connection: ConnectionOptions
}

/// A command that changes the operator commands of a task and prints all that are pending.
protocol ScheduleWishCommand: OperatorCommand {
    var target: ScheduleTarget { get }
    /// The ID of the operator in the records.
    var requesterID: String { get }

    /// Returns what the command is about to do.
    ///
    /// - Parameter pending: The commands that are pending now.
    func intent(
        _ control: ScheduledTaskControl, _ pending: OperatorCommands
    ) async throws -> (action: String, effects: [String])

    /// Changes the commands.
    ///
    /// - Returns: The lines about the command itself, and the pending commands, which follow them.
    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands)
}

extension ScheduleWishCommand {
    /// Returns the discussion of a help text, with an example.
    fileprivate static func discussion(about text: String = "", _ first: String, _ second: String? = nil) -> String {
        let example = second.map { HelpText.example(first, $0) } ?? HelpText.example(first)
        let text = text.isEmpty ? "" : text + " "
        return "\(text)Prints all pending operator commands.\n\n\(example)\n\n\(ScheduleCommand.statusHelp)"
    }

    var path: String { target.path }
    var requesterID: String { operation.signature }
    var connection: ConnectionOptions { target.connection }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let control = try ScheduledTaskControl(client: client, path: path, id: requesterID)
        return try await Self.refusing {
            // This fails if there is no task at the path.
            let pending = try await control.commands()
            let (action, effects) = try await intent(control, pending)
            return OperatorAction(description: action, effects: effects, unchanged: pending.lines) {
                let (lines, left) = try await Self.refusing { try await perform(control, client) }
                let all = effects + lines
                return OperatorAction.Outcome(results: left.isEmpty && !all.isEmpty ? all : all + left.lines)
            }
        }
    }

    /// Performs a step of the command, and reports an invalid argument of the recipe like one of the command line.
    private static func refusing<Value: Sendable>(_ step: () async throws -> Value) async throws -> Value {
        do { return try await step() } catch let error as RecipeError where error.code == .invalidArgument {
            throw ValidationError(error.message ?? "\(error)")
        }
    }
}

struct SchedulePauseCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Pauses the schedule. A run in progress continues.",
        discussion: discussion("zkrecipes schedule pause /app/report --reason \"migration until noon\""))

    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: ReasonedOperatorOptions

    func validate() throws {
        guard !operation.reason.isEmpty else {
            throw ValidationError(
                "--reason is empty: give a reason, which the records of skipped periods contain")
        }
    }

    var requesterID: String { operation.operatorID }

    func intent(_ control: ScheduledTaskControl, _ pending: OperatorCommands) -> (action: String, effects: [String]) {
        let effect = pending.pause.map {
            "a pause of \(OperatorCommands.name($0.requestedBy)) is pending already: \($0.reason); this one replaces it"
        }
        return ("pause the schedule of \(path); a run in progress continues", [effect].compactMap(\.self))
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        try await control.pause(reason: operation.reason)
        return ([], try await control.commands())
    }
}

struct ScheduleResumeCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Resumes a paused schedule.",
        discussion: discussion("zkrecipes schedule resume /app/report"))

    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: OperatorOptions

    func intent(_ control: ScheduledTaskControl, _ pending: OperatorCommands) -> (action: String, effects: [String]) {
        ("resume the schedule of \(path)", pending.pause == nil ? ["the schedule is not paused"] : [])
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        try await control.resume()
        return ([], try await control.commands())
    }
}

struct ScheduleNowCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "now", abstract: "Runs the task once, as soon as no other run is in progress.",
        discussion: discussion(
            about: "It does not wait for the run. If a node has taken the request, it prints the run.",
            "zkrecipes schedule now /app/report"))

    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: OperatorOptions

    func intent(_ control: ScheduledTaskControl, _ pending: OperatorCommands) -> (action: String, effects: [String]) {
        let others = pending.runRequests
        let effect =
            others.isEmpty
            ? nil
            : "\(others.count) \(noun("run is", plural: "runs are", for: others.count)) requested already, by "
                + "\(OperatorCommands.names(others)): with this one, there are \(others.count + 1)"
        return (
            "run \(path) once, as soon as no other run is in progress", [effect].compactMap(\.self)
        )
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        let request = try await control.runNow()
        let pending = try await control.commands()
        // Requests are carried out in order: if an equal one is pending, this one is as well.
        guard !pending.runRequests.contains(where: { $0.hasBytes(of: requesterID) }) else { return ([], pending) }
        let runs = try await ScheduledTaskHistory(client: client, path: path).runs()
        let run = runs.first { $0.carriesOut(request, of: requesterID) }
        return ([run?.progress ?? OperatorCommands.gone("the run was requested", path)], pending)
    }
}

struct ScheduleSkipCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "skip", abstract: "Skips the next period.",
        discussion: discussion(
            about: "Each pending skip skips one more period.", "zkrecipes schedule skip /app/report"))

    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: OperatorOptions

    func intent(_ control: ScheduledTaskControl, _ pending: OperatorCommands) -> (action: String, effects: [String]) {
        let others = pending.skipRequests
        let effect =
            others.isEmpty
            ? nil
            : "\(others.count) \(noun("skip is", plural: "skips are", for: others.count)) pending already, requested by "
                + "\(OperatorCommands.names(others)): with this one, the next \(others.count + 1) periods are skipped"
        return ("skip the next period of \(path)", [effect].compactMap(\.self))
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        try await control.skipNext()
        let pending = try await control.commands()
        let isPending = pending.skipRequests.contains { $0.hasBytes(of: requesterID) }
        return (isPending ? [] : [OperatorCommands.gone("the skip was requested", path)], pending)
    }
}

struct ScheduleBackfillCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Runs the periods of a range that are not completed, oldest first.",
        discussion: discussion(
            about: "Periods that have not started are left out. The periods are counted with the schedule of the "
                + "task's nodes. Only one backfill can be pending.",
            "zkrecipes schedule backfill /app/report \\",
            "  --from 2026-03-01T00:00:00Z --through 2026-03-07T00:00:00Z"))

    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: OperatorOptions
    @Option(
        parsing: .unconditional, help: "The earliest start of a period, such as 2026-03-07T12:00:00Z.",
        transform: parseInstant)
    var from: Timestamp
    @Option(
        parsing: .unconditional, help: "The latest start of a period.", transform: parseInstant)
    var through: Timestamp
    @Option(
        parsing: .unconditional, help: "Refuse a range with more periods than this.",
        transform: number(1...1_000_000))
    var maxPeriods = 366
    @Flag(help: "Replace a pending backfill.")
    var replace = false

    func validate() throws {
        guard from <= through else {
            let (from, through) = (from.secondsText, through.secondsText)
            throw ValidationError("--through is \(through), which is before --from, \(from)")
        }
    }

    func intent(
        _ control: ScheduledTaskControl, _ pending: OperatorCommands
    ) async throws -> (action: String, effects: [String]) {
        var effects: [String] = []
        if let other = pending.backfill {
            let refusal = control.refusal(because: other, of: try await control.schedule())
            guard replace else { throw refusal }
            effects.append("\(refusal.message ?? "a backfill is pending"); this one replaces it")
        }
        return (
            "run the periods of \(path) from \(from.secondsText) through \(through.secondsText) that are not completed",
            [try await periods(control).line] + effects
        )
    }

    private func periods(_ control: ScheduledTaskControl) async throws -> PeriodRange {
        do {
            return try await control.periods(from: from, through: through, maximum: maxPeriods)
        } catch let error as RecipeError where error.code == .invalidArgument {
            throw ValidationError(
                "\(error.message ?? "\(error)"); check --from and --through, or use a higher --max-periods")
        }
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        try await control.backfill(from: from, through: through, maximumPeriods: maxPeriods, replacesPending: replace)
        let pending = try await control.commands()
        let isPending = pending.backfill?.requestedBy.hasBytes(of: requesterID) ?? false
        return (isPending ? [] : [OperatorCommands.gone("the backfill was requested", path)], pending)
    }
}

struct ScheduleWithdrawCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "withdraw", abstract: "Withdraws pending runs now, skips and backfills of all operators.",
        discussion: discussion(
            about: "A command that a node has carried out cannot be withdrawn, and a run in progress continues. A "
                + "backfill loses its other periods. A pause ends with `resume`. The exit status is 1 if nothing is pending.",
            "zkrecipes schedule withdraw /app/report backfill"))

    @OptionGroup var target: ScheduleTarget
    @Argument(help: "now, skip or backfill. (default: all of them)", transform: parseWords)
    var kind: OperatorCommands.Kind?
    @OptionGroup var operation: OperatorOptions

    private var kinds: Set<OperatorCommands.Kind> { kind.map { [$0] } ?? Set(OperatorCommands.Kind.allCases) }

    func intent(
        _ control: ScheduledTaskControl, _ pending: OperatorCommands
    ) throws -> (action: String, effects: [String]) {
        let lines = pending.only(kinds).lines
        guard pending.only(kinds) != OperatorCommands() else { throw NothingPending(kind: kind, path: path) }
        return ("withdraw from \(path): \(lines.joined(separator: "; "))", [])
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        let withdrawn = try await control.withdraw(kinds)
        guard withdrawn != OperatorCommands() else { throw NothingPending(kind: kind, path: path) }
        return (withdrawn.lines.map { "withdrawn: \($0)" }, try await control.commands())
    }
}

/// The error if there is nothing to withdraw, because it was carried out or has never been requested.
struct NothingPending: Error, CustomStringConvertible {
    var kind: OperatorCommands.Kind?
    var path: String

    var description: String {
        let commands =
            switch kind {
            case .now: "no run now is pending"
            case .skip: "no skip is pending"
            case .backfill: "no backfill is pending"
            case nil: "no run now, skip or backfill is pending"
            }
        return "\(commands) at \(path): nothing was withdrawn; `zkrecipes schedule history \(path)` prints the runs"
    }
}

struct ScheduleAnswerCommand: ScheduleWishCommand {
    static let configuration = CommandConfiguration(
        commandName: "answer", abstract: "Decides whether to rerun, resume or skip a run whose node died.",
        discussion: discussion("zkrecipes schedule answer /app/report --period 2026-03-07 --decision rerun"))

    @OptionGroup var target: ScheduleTarget
    @OptionGroup var operation: OperatorOptions
    @Option(help: "The ID of the run's period, which history prints.")
    var period: String
    @Option(help: "rerun, resume, or skip.", transform: parseWords)
    var decision: OperatorCommands.Decision

    func validate() throws {
        guard !period.isEmpty else {
            throw ValidationError("--period is empty; `zkrecipes schedule history` prints the IDs")
        }
        guard !period.contains("/") else {
            throw ValidationError(
                "--period \"\(period)\" is not the ID of a period; `zkrecipes schedule history` prints the IDs")
        }
    }

    func intent(_ control: ScheduledTaskControl, _ pending: OperatorCommands) -> (action: String, effects: [String]) {
        let effect = pending.decisions[period].map {
            "the decision \($0.rawValue) is pending already for this run: this one replaces it"
        }
        return ("decide \(decision.rawValue) for the run of \(period) at \(path)", [effect].compactMap(\.self))
    }

    func perform(
        _ control: ScheduledTaskControl, _ client: ZooKeeperClient
    ) async throws -> (lines: [String], pending: OperatorCommands) {
        try await control.decide(period, decision)
        let pending = try await control.commands()
        guard pending.decisions[period] == nil else { return ([], pending) }
        return ([OperatorCommands.gone("the decision was made", path)], pending)
    }
}

struct ScheduleHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Prints the records of a task's runs, by the start of their periods.",
        discussion: """
            Prints one line per run: period, state, node, attempt, fencing token, duration, and remarks.

            \(HelpText.example("zkrecipes schedule history /app/report"))

            \(ScheduleCommand.statusHelp)
            """)

    @OptionGroup var target: ScheduleTarget

    func run() async throws {
        let path = target.path
        let runs = try await runProgram(with: target.connection) { client in
            let runs = try await ScheduledTaskHistory(client: client, path: path).runs()
            // No runs: reading the operator commands fails if there is no task at the path.
            if runs.isEmpty { _ = try await ScheduledTaskControl(client: client, path: path, id: "").commands() }
            return runs
        }
        await Output.results(runs.map(\.line))
    }
}

extension RunRecord {
    /// The record in one line, for operators.
    var line: String {
        var columns = [
            period, state.rawValue, participantID, "attempt \(attempt)", "token \(token?.description ?? "-")",
        ]
        if let duration { columns.append("\(duration.milliseconds) ms") }
        if let window {
            let resumed = window.resumed.map { ", resumed after \($0.milliseconds) ms" } ?? ""
            let processors = "\(window.processors) \(noun("processor", for: window.processors))"
            columns.append(
                "\(processors) paused within \(window.drainDuration.milliseconds) ms"
                    + (window.slowestProcessor.map { ", \($0) last" } ?? "") + resumed)
        }
        columns += previousAttempts.map { "attempt \($0.number) by \($0.participantID): \($0.reason)" }
        columns += [message, note].compactMap(\.self)
        return columns.joined(separator: "  ")
    }
}

extension RunRecord {
    /// Whether the run carries out a request for a run now.
    ///
    /// - Parameters:
    ///   - request: The transaction of the request.
    ///   - requester: The ID of the operator in the records.
    fileprivate func carriesOut(_ request: ZXID, of requester: String) -> Bool {
        guard kind == .requested, let token = previousAttempts.first?.token ?? token else { return false }
        return token.rawValue > request.rawValue && note?.hasBytes(of: "requested by \(requester)") ?? false
    }

    /// How far the run is, in one line.
    fileprivate var progress: String {
        switch state {
        case .claimed, .started: "\(participantID) has started the run \(period)"
        case .completed: "\(participantID) has completed the run \(period)"
        case .failed: "the run \(period) on \(participantID) has failed" + (message.map { ": \($0)" } ?? "")
        case .interrupted, .awaitingOperator, .skipped, .abandoned:
            "the run \(period) on \(participantID): \(state.rawValue)" + (message.map { ", \($0)" } ?? "")
        }
    }
}

extension PeriodRange {
    /// The number of periods, the first and the last one, in one line.
    fileprivate var line: String {
        guard count > 1 else { return "1 period: \(first.id); it is not run again if it is completed" }
        return "\(count) periods, from \(first.id) through \(last.id); those that are completed are not run again"
    }
}

extension OperatorCommands {
    /// Whether no commands are pending.
    fileprivate var isEmpty: Bool { self == OperatorCommands() }

    /// The commands of some kinds alone.
    func only(_ kinds: Set<Kind>) -> OperatorCommands {
        var commands = OperatorCommands()
        if kinds.contains(.now) { commands.runRequests = runRequests }
        if kinds.contains(.skip) { commands.skipRequests = skipRequests }
        if kinds.contains(.backfill) { commands.backfill = backfill }
        return commands
    }

    /// Returns the operator of a command, or what to print if its ID is empty.
    fileprivate static func name(_ requester: String) -> String { requester.isEmpty ? "another operator" : requester }

    /// Returns the operators of commands, each once.
    fileprivate static func names(_ requesters: [String]) -> String {
        var names: [String] = []
        for name in requesters.map(name) where !names.contains(where: { $0.hasBytes(of: name) }) { names.append(name) }
        return names.joined(separator: ", ")
    }

    /// Returns the line about a command that is no longer pending when the program reads the commands again.
    fileprivate static func gone(_ deed: String, _ path: String) -> String {
        "\(deed), and is no longer pending: `zkrecipes schedule history \(path)` prints what a node has done"
    }

    /// The pending commands, one in each line.
    var lines: [String] {
        var lines: [String] = []
        if let pause { lines.append("paused by \(pause.requestedBy): \(pause.reason)") }
        lines += runRequests.map { "run now, requested by \($0)" }
        lines += skipRequests.map { "skip next, requested by \($0)" }
        if let backfill {
            let (from, through) = (backfill.from.secondsText, backfill.through.secondsText)
            lines.append("backfill from \(from) through \(through), requested by \(backfill.requestedBy)")
        }
        lines += decisions.sorted { $0.key < $1.key }.map { period, decision in
            "\(period): \(decision.rawValue)" + (decisionOperators[period].map { ", requested by \($0)" } ?? "")
        }
        return lines.isEmpty ? ["no operator commands are pending"] : lines
    }
}
