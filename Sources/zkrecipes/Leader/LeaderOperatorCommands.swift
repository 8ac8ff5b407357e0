import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The arguments of a request to the leader of an election.
struct LeaderRequestOptions: ParsableArguments, Sendable {
    @Argument(help: LeaderCommand.pathHelp, transform: LeaderCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var operation: OperatorOptions

    @Option(
        "Give up if the leader's term has not ended after this time.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var timeout = DurationArgument.seconds(30)

    /// Returns the action that asks the leader to resign.
    ///
    /// - Parameter successor: The ID of the participant that leads next; `nil` leaves that to the order of the queue.
    func request(successor: String? = nil, _ client: ZooKeeperClient) async throws -> OperatorAction {
        let participants = try await LeaderSelector.participants(client: client, path: path)
        guard let leader = participants.first else {
            throw try await NothingThere("no candidates", at: path, client)
        }
        var next = participants.dropFirst().first
        if let successor {
            next = participants.dropFirst().first { $0.id.hasBytes(of: successor) }
            guard next != nil else {
                let problem = leader.id.hasBytes(of: successor) ? "already leads" : "does not wait for the leadership"
                throw ValidationError(
                    "--to \(Text.quoted(successor)): it \(problem) of \(path); `zkrecipes leader status` prints who waits"
                )
            }
        }
        let action =
            successor.map { "ask \(leader.id) to transfer the leadership of \(path) to \($0)" }
            ?? "ask \(leader.id) to resign the leadership of \(path)"
        let effect =
            next.map { "\($0.id) leads next, once the work of \(leader.id) has been cancelled and has ended." }
            ?? "No other participant waits: \(leader.id) leads again, in a new term."
        return OperatorAction(description: action, effects: [effect]) { [self, next] in
            let current = try await LeaderSelector.requestResignation(
                client: client, path: path, id: operation.operatorID, from: leader, to: successor == nil ? nil : next,
                reason: operation.reason, timeout: timeout.duration)
            var outcome = OperatorAction.Outcome(results: [current.map { "\($0.id) leads" } ?? "there is no leader"])
            if let successor, current?.id.hasBytes(of: successor) != true {
                outcome.problems = ["\(leader.id) has left the election before \(successor) accepted the transfer"]
            }
            return outcome
        }
    }

    /// The part of a help text about leaders, and the exit statuses.
    static let help = """
        The leader's work is cancelled, as if the leader itself resigned, and the next leader starts after it has ended. \
        The leader rejoins the election at the end of the queue. Its log contains the operator and the reason.

        Leaders that use another library, such as Curator's, do not read requests: end their process instead.

        \(HelpText.exitStatus([
            "0": "the term has ended; the next leader is printed",
            "1": "the leader continues, there is none, or there is no connection",
            "64": "invalid option or argument, such as a participant that does not wait",
        ]))
        """
}

struct LeaderResignCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "resign",
        abstract: "Asks the leader to resign, and waits until its term has ended.",
        discussion: """
            \(HelpText.example("zkrecipes leader resign /app/leader --reason \"maintenance of its host\""))

            \(LeaderRequestOptions.help)
            """)

    @OptionGroup var options: LeaderRequestOptions

    var connection: ConnectionOptions { options.connection }
    var operation: OperatorOptions { options.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction { try await options.request(client) }
}

struct LeaderTransferCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer",
        abstract: "Asks the leader to transfer its leadership to a participant that waits.",
        discussion: """
            No other participant leads in between. If the participant does not accept, the leader continues.

            \(HelpText.example("zkrecipes leader transfer /app/leader --to web-2"))

            \(LeaderRequestOptions.help)
            """)

    @OptionGroup var options: LeaderRequestOptions

    @Option(help: "The ID of the participant that leads next.", transform: parseLabel)
    var to: String

    var connection: ConnectionOptions { options.connection }
    var operation: OperatorOptions { options.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        try await options.request(successor: to, client)
    }
}
