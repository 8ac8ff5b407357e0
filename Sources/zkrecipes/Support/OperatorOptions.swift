import ArgumentParser
import CommandLineSupport
import Foundation
import Glibc
import Logging
import SystemSupport
import ZooKeeper

/// The options of operator commands, which change what other processes do.
struct OperatorOptions: ParsableArguments, OperatorArguments {
    @OptionGroup var basics: BasicOperatorOptions

    @Option(help: "The reason, for records and logs.")
    var reason = ""
}

/// The options of operator commands that need a reason.
struct ReasonedOperatorOptions: ParsableArguments, OperatorArguments {
    @OptionGroup var basics: BasicOperatorOptions

    @Option(help: "The reason, for records and logs.")
    var reason: String
}

/// The options of all operator commands.
struct BasicOperatorOptions: ParsableArguments {
    @Option(
        name: .customLong("id"), help: "The ID of the operator, for records and logs. (default: the user's name)",
        transform: parseLabel)
    var operatorID = NSUserName()

    @Flag(help: "Print what the command would do, and change nothing.")
    var dryRun = false

    @Flag(help: "Do not ask for confirmation.")
    var yes = false
}

extension BasicOperatorOptions {
    /// What happens before an operator command changes anything.
    enum Confirmation: Sendable, Hashable {
        /// Print what the command would do, and change nothing.
        case describe
        /// Ask the operator.
        case ask
        /// Change it without asking.
        case perform
        /// Fail, because there is no terminal to ask on.
        case refuse
    }
}

/// The options of an operator command, with the operator's ID and a reason.
protocol OperatorArguments: Sendable {
    var basics: BasicOperatorOptions { get }
    var reason: String { get }
}

extension OperatorArguments {
    /// The ID of the operator.
    var operatorID: String { basics.operatorID }

    /// Whether the command changes nothing.
    var dryRun: Bool { basics.dryRun }

    /// Whether the operator has confirmed the command in advance.
    var yes: Bool { basics.yes }

    /// The ID of the operator with the reason, for records that have no field for a reason.
    var signature: String { reason.isEmpty ? operatorID : "\(operatorID): \(reason)" }

    /// Returns what happens before the command changes anything.
    ///
    /// - Parameter needsYes: Whether the command needs `--yes` if there is no terminal.
    func confirmation(needsYes: Bool, onTerminal isTerminal: Bool) -> BasicOperatorOptions.Confirmation {
        if dryRun { return .describe }
        if yes { return .perform }
        return isTerminal ? .ask : needsYes ? .refuse : .perform
    }

    /// Checks that a command that takes a grant away can be confirmed.
    ///
    /// - Throws: `ValidationError` if there is no terminal to ask on, and no `--yes`.
    func requireConfirmation() throws {
        guard confirmation(needsYes: true, onTerminal: Self.hasTerminal) == .refuse else { return }
        throw ValidationError("there is no terminal to ask for confirmation: check with --dry-run, then add --yes")
    }

    private static var hasTerminal: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

    /// Asks for confirmation, unless an option makes that unnecessary.
    ///
    /// Without a terminal it does not ask: see ``requireConfirmation()``.
    ///
    /// - Parameters:
    ///   - action: What the command is about to do, such as `pause the schedule of /app/report`.
    ///   - effects: What happens then, one sentence in each line.
    /// - Returns: Whether to do it; `false` for a dry run, which has printed the lines.
    /// - Throws: ``NotConfirmed`` if the operator does not agree; `CancellationError`.
    func confirm(_ action: String, _ effects: [String] = []) async throws -> Bool {
        switch confirmation(needsYes: false, onTerminal: Self.hasTerminal) {
        case .describe:
            await Output.results(["would \(action)"] + effects)
            return false
        case .ask:
            await Output.results(["About to \(action)."] + effects)
            Output.writeResult("Continue? [y/N] ")
            let answer = OneShot<String>()
            // A thread of its own that nothing waits for: a signal ends the program although no line was read.
            detachThread { answer.set(readLineOfInput()) }
            guard ["y", "yes"].contains(try await answer.wait().lowercased()) else { throw NotConfirmed() }
        case .perform, .refuse: break
        }
        record(action)
        return true
    }

    /// Records in the log that an operator command is performed.
    func record(_ action: String) {
        Logger.program.notice(
            "An operator command is performed",
            metadata: [
                "zookeeper.operator": "\(operatorID)", "zookeeper.reason": "\(reason)",
                "zookeeper.action": "\(action)",
            ])
    }
}

/// Reads a line from standard input.
private func readLineOfInput() -> String {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while read(STDIN_FILENO, &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
    return String(decoding: line, as: UTF8.self)
}

/// The error if the operator does not confirm a command.
struct NotConfirmed: Error, CustomStringConvertible {
    let description = "not confirmed: nothing was changed"
}
