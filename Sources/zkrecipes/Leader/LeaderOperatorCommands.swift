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
        help: ArgumentHelp(
            "The ID of the leader to ask, or the name of its znode: nothing happens if another participant leads.",
            valueName: "id"))
    var leader: String?

    @Option(
        "Give up if the leader's term has not ended after this time.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var timeout = DurationArgument.seconds(30)

    /// Returns the action that asks the leader to resign.
    ///
    /// - Parameter successor: The ID of the participant that leads next, or the name of its znode; `nil` leaves that to
    ///   the order of the queue.
    func request(successor: String? = nil, _ client: ZooKeeperClient) async throws -> OperatorAction {
        try await requireElection(client)
        let participants = try await LeaderSelector.participants(client: client, path: path)
        guard let current = participants.first else {
            throw try await NothingThere("no candidates", at: path, client)
        }
        let name = participants.title(of: current)
        if let leader, [current].named(leader).isEmpty {
            throw ValidationError("--leader \(Text.quoted(leader)): it does not lead \(path), which \(name) leads")
        }
        let next = try successor.map { try Self.successor($0, of: path, in: participants) }
        let action =
            next.map { "ask \(name) to transfer the leadership of \(path) to \(participants.title(of: $0))" }
            ?? "ask \(name) to resign the leadership of \(path)"
        return OperatorAction(description: action, effects: Self.effects(next, participants)) { [self, next] in
            let leader = try await LeaderSelector.requestResignation(
                client: client, path: path, id: operation.operatorID, from: current, to: next,
                reason: operation.reason, timeout: timeout.duration)
            var outcome = OperatorAction.Outcome(results: [leader.map { "\($0.id) leads" } ?? "there is no leader"])
            if let next, leader?.id.hasBytes(of: next.id) != true {
                outcome.problems = ["the term of \(name) has ended before \(next.id) accepted the transfer"]
            }
            return outcome
        }
    }

    /// Returns the participant that `--to` names.
    ///
    /// - Throws: `ValidationError` if no participant that waits has this ID, or if several participants have it.
    static func successor(
        _ name: String, of path: String, in participants: [ElectionParticipant]
    ) throws -> ElectionParticipant {
        let named = participants.named(name)
        let option = "--to \(Text.quoted(name))"
        guard named.count <= 1 else {
            throw ValidationError(
                "\(option): \(named.count) participants of \(path) have this ID: use the name of the znode of one: "
                    + named.map { $0.isLeader ? "\($0.znode) (leads)" : $0.znode }.joined(separator: ", "))
        }
        guard let next = named.first, !next.isLeader else {
            let problem = named.isEmpty ? "it does not wait for the leadership of" : "it already leads"
            throw ValidationError("\(option): \(problem) \(path); `zkrecipes leader status` prints who waits")
        }
        return next
    }

    /// Returns what happens when the leader resigns, in sentences.
    ///
    /// - Parameter next: The participant that leads next; `nil` for the first one that waits.
    static func effects(_ next: ElectionParticipant?, _ participants: [ElectionParticipant]) -> [String] {
        guard let leader = participants.first else { return [] }
        let name = participants.title(of: leader)
        let shared = participants.named(leader.id).count
        let warning = shared > 1 ? ["\(shared) participants have the ID \(leader.id): give each its own."] : []
        guard let next = next ?? participants.dropFirst().first else {
            return ["No other participant waits: \(name) leads again, in a new term."]
        }
        return [
            "\(participants.title(of: next)) leads next, once the work of \(name) has been cancelled and has ended."
        ] + warning
    }

    /// Checks that the participants at the path can be those of an election, so that nothing is sent to others.
    ///
    /// - Throws: `ValidationError` if they use another recipe, or if no participant of this package has ever led.
    private func requireElection(_ client: ZooKeeperClient) async throws {
        let names = try await client.listing(of: path).names
        let hasEpoch = try await client.exists(at: path + "-epoch") != nil
        switch RecipeKind.recognized(byChildren: names, hasEpoch: hasEpoch) {
        case .leaderElection, .leaderLatch, nil: return
        case .mutex:
            // Curator's elections have the names of a mutex, and nobody reads a request there.
            throw ValidationError(
                "PATH \(Text.quoted(path)) is a mutex, or an election that only other libraries have led: use "
                    + "`zkrecipes lock release-request \(path)`, or end the process of the leader")
        case .some(let kind):
            throw ValidationError("PATH \(Text.quoted(path)) is a \(kind.title), not a leader election: check the path")
        }
    }

    /// The part of a help text about leaders, and the exit statuses.
    static let help = """
        The leader's work is cancelled, as if the leader itself resigned, and the next leader starts after it has ended. \
        The leader rejoins the election at the end of the queue. Its log contains the operator and the reason.

        Two operators who run this at the same time can ask two leaders, one after the other. With --leader, the second \
        one fails. If several participants have the same ID, name one by its znode, which `zkrecipes status` prints.

        Leaders that use another library, such as Curator's, do not read requests: end their process instead.

        \(HelpText.exitStatus([
            "0": "the term has ended; the next leader is printed",
            "1": "the leader continues, there is none, or there is no connection",
            "64": "invalid option or argument, such as --leader for one that does not lead",
        ]))
        """
}

struct LeaderResignCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "resign",
        abstract: "Asks the leader to resign, and waits until its term has ended.",
        discussion: """
            \(HelpText.example(
                "zkrecipes leader resign /app/leader --leader web-1 --reason \"maintenance of its host\""))

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

    @Option(help: "The ID of the participant that leads next, or the name of its znode.", transform: parseLabel)
    var to: String

    var connection: ConnectionOptions { options.connection }
    var operation: OperatorOptions { options.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        try await options.request(successor: to, client)
    }
}
