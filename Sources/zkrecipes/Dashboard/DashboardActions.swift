import ArgumentParser
import CommandLineSupport
import FoundationEssentials
import Synchronization
import ZooKeeper

/// An operator command that a page can send.
enum DashboardVerb: String, CaseIterable, Sendable {
    case leaderResign = "leader-resign"
    case leaderTransfer = "leader-transfer"
    case lockReleaseRequest = "lock-release-request"
    case lockEvict = "lock-evict"
    case exclusiveEvict = "exclusive-evict"
    case exclusiveHold = "exclusive-hold"
    case exclusiveUnhold = "exclusive-unhold"
    case schedulePause = "schedule-pause"
    case scheduleResume = "schedule-resume"
    case scheduleNow = "schedule-now"
    case scheduleSkip = "schedule-skip"
    case scheduleBackfill = "schedule-backfill"
    case scheduleWithdraw = "schedule-withdraw"
    case scheduleAnswer = "schedule-answer"
    case partitionsCordon = "partitions-cordon"
    case partitionsUncordon = "partitions-uncordon"

    /// The longest time that a page waits.
    ///
    /// An eviction waits for the longest session timeout that the servers allow. Any other command must not take effect
    /// long after its operator has given up, such as after an outage.
    fileprivate var timeLimit: Duration { self == .lockEvict ? .seconds(3600) : .seconds(60) }

    /// The command on the command line.
    private var command: any OperatorCommand.Type {
        switch self {
        case .leaderResign: LeaderResignCommand.self
        case .leaderTransfer: LeaderTransferCommand.self
        case .lockReleaseRequest: LockReleaseRequestCommand.self
        case .lockEvict: LockEvictCommand.self
        case .exclusiveEvict: ExclusiveEvictCommand.self
        case .exclusiveHold: ExclusiveHoldCommand.self
        case .exclusiveUnhold: ExclusiveUnholdCommand.self
        case .schedulePause: SchedulePauseCommand.self
        case .scheduleResume: ScheduleResumeCommand.self
        case .scheduleNow: ScheduleNowCommand.self
        case .scheduleSkip: ScheduleSkipCommand.self
        case .scheduleBackfill: ScheduleBackfillCommand.self
        case .scheduleWithdraw: ScheduleWithdrawCommand.self
        case .scheduleAnswer: ScheduleAnswerCommand.self
        case .partitionsCordon: PartitionsCordonCommand.self
        case .partitionsUncordon: PartitionsUncordonCommand.self
        }
    }

    /// Parses the values of a request as the command line does.
    ///
    /// - Throws: ``DashboardRefusal`` with the parser's message.
    func command(for request: DashboardRequest) throws -> any OperatorCommand {
        guard let id = request.id, !id.isEmpty else {
            throw DashboardRefusal(.invalid, "id is empty: name the operator, for records and logs")
        }
        var arguments = ["--yes", "--id=\(id)"]
        if let reason = request.reason, !reason.isEmpty { arguments.append("--reason=\(reason)") }
        var positional = [request.path]
        switch self {
        case .leaderTransfer: arguments.append("--to=\(request.to ?? "")")
        case .lockReleaseRequest, .lockEvict:
            if let name = request.name { arguments.append("--holder=\(name)") }
        case .exclusiveEvict, .partitionsCordon, .partitionsUncordon: positional.append(request.name ?? "")
        case .exclusiveUnhold:
            // The page has to be told why nothing happens while a window is open.
            arguments.append("--timeout=30s")
            if let name = request.name { positional.append(name) }
        case .scheduleWithdraw:
            if let kind = request.kind, !kind.isEmpty { positional.append(kind) }
        case .scheduleBackfill:
            arguments += ["--from=\(request.from ?? "")", "--through=\(request.through ?? "")"]
        case .scheduleAnswer:
            arguments += ["--period=\(request.period ?? "")", "--decision=\(request.decision ?? "")"]
        case .leaderResign, .exclusiveHold, .schedulePause, .scheduleResume, .scheduleNow, .scheduleSkip: break
        }
        return try command.parsed(arguments + ["--"] + positional)
    }
}

extension OperatorCommand {
    fileprivate static func parsed(_ arguments: [String]) throws -> any OperatorCommand {
        do { return try parse(arguments) } catch { throw DashboardRefusal(.invalid, message(for: error)) }
    }
}

/// The values of an operator command that a page sends.
struct DashboardRequest: Decodable, Sendable {
    var path: String
    var name, to, kind, period, decision, from, through, reason, id: String?
}

/// The reason why an operator command was not performed.
struct DashboardRefusal: Error {
    enum Kind: Sendable { case invalid, failed, busy }

    var kind: Kind
    var text: String

    init(_ kind: Kind, _ text: String) { (self.kind, self.text) = (kind, text) }
}

/// Performs the operator commands that pages send, each with a session of its own, as the command line does.
final class DashboardActions: Sendable {
    /// The number of commands that can be in progress.
    static let maximum = 8

    private let connection: ConnectionOptions
    private let clock: any MonotonicClock
    private let inProgress = Mutex(0)

    init(connection: ConnectionOptions, clock: any MonotonicClock = SystemMonotonicClock()) {
        (self.connection, self.clock) = (connection, clock)
    }

    /// Performs a command.
    ///
    /// - Returns: What has been done.
    /// - Throws: ``DashboardRefusal``.
    func perform(_ verb: DashboardVerb, _ request: DashboardRequest) async throws -> String {
        let command = try verb.command(for: request)
        guard
            inProgress.withLock({ count in
                defer { count += count < Self.maximum ? 1 : 0 }
                return count < Self.maximum
            })
        else {
            throw DashboardRefusal(.busy, "\(Self.maximum) operator commands are in progress: try again later")
        }
        defer { inProgress.withLock { $0 -= 1 } }
        do {
            let outcome = try await clock.run(until: clock.now + verb.timeLimit) { try await self.perform(command) }
            guard let outcome else {
                throw DashboardRefusal(.failed, "there was no answer in time; whether it has happened is not known")
            }
            guard outcome.problems.isEmpty else {
                throw DashboardRefusal(.failed, (outcome.results + outcome.problems).joined(separator: "\n"))
            }
            return outcome.results.joined(separator: "\n")
        } catch let refusal as DashboardRefusal {
            throw refusal
        } catch {
            throw DashboardRefusal(
                ZKRecipes.isRefusal(error) ? .invalid : .failed, ZKRecipes.explanation(of: error))
        }
    }

    private func perform(_ command: any OperatorCommand) async throws -> OperatorAction.Outcome {
        let endpoint = try command.connection(from: connection).endpoint()
        return try await withZooKeeperClient(configuration: endpoint.clientConfiguration(), logger: .program) {
            client in
            try await endpoint.awaitConnection(of: client)
            let action = try await command.action(with: client)
            guard let perform = action.perform else { return OperatorAction.Outcome(results: action.unchanged) }
            command.operation.record(action.description)
            return try await perform()
        }
    }
}
