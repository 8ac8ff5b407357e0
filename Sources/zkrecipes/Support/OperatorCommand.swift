import ArgumentParser
import CommandLineSupport
import Logging
import ZooKeeper

/// A command with which an operator changes what other processes do: on the command line, or in the dashboard.
protocol OperatorCommand: AsyncParsableCommand, Sendable {
    associatedtype Operation: OperatorArguments

    var connection: ConnectionOptions { get }
    var operation: Operation { get }

    /// Returns the connection that the command needs.
    ///
    /// - Parameter options: The options of the program.
    func connection(from options: ConnectionOptions) -> ConnectionOptions

    /// Checks the command against the current state of the recipe, without changing anything.
    func action(with client: ZooKeeperClient) async throws -> OperatorAction
}

extension OperatorCommand {
    func connection(from options: ConnectionOptions) -> ConnectionOptions { options }

    func run() async throws {
        let command = self
        try await runProgram(with: connection(from: connection)) { client in
            let action: OperatorAction
            do {
                action = try await command.action(with: client)
            } catch is CancellationError {
                // Nothing is held, and a request without an answer would delay the end by its session timeout.
                client.stopImmediately()
                throw CancellationError()
            }
            guard let perform = action.perform else { return await Output.results(action.unchanged) }
            guard try await command.operation.confirm(action.description, action.effects) else {
                return await Output.results(action.unchanged)
            }
            if let notice = action.notice { Output.notice(notice) }
            for step in [perform, action.follow].compactMap(\.self) {
                let outcome = try await step()
                await Output.results(outcome.results)
                for problem in outcome.problems { Output.report(problem) }
                if !outcome.problems.isEmpty { throw ExitCode.failure }
            }
        }
    }
}

/// What an operator command is about to do.
struct OperatorAction: Sendable {
    /// What happened to the participants that the command is about.
    struct Outcome: Sendable {
        /// What has been done, one sentence or value in each line.
        var results: [String]
        /// What has not been done; empty if the command was successful.
        var problems: [String] = []
    }

    /// What the command does, as a verb phrase, such as `pause the schedule of /app/report`.
    var description: String
    /// What happens then, one sentence in each line.
    var effects: [String] = []
    /// What the command prints if it is not performed, or if there is nothing to do.
    var unchanged: [String] = []
    /// What the command waits for, which the command line prints before.
    var notice: String?
    /// Performs the command; `nil` if there is nothing to do.
    var perform: (@Sendable () async throws -> Outcome)?
    /// Waits for what follows, after the results are printed; `nil` if nothing does.
    ///
    /// The dashboard shows that by itself.
    var follow: (@Sendable () async throws -> Outcome)?

    // `follow` is no parameter: a trailing closure would be taken for it.
    init(
        description: String, effects: [String] = [], unchanged: [String] = [], notice: String? = nil,
        perform: (@Sendable () async throws -> Outcome)? = nil
    ) {
        (self.description, self.effects, self.unchanged) = (description, effects, unchanged)
        (self.notice, self.perform) = (notice, perform)
    }
}
