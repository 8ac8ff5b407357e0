import ArgumentParser
import Glibc
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@main
struct ZKRecipes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zkrecipes",
        abstract: "Runs tasks alone among processors that pause for them, over ZooKeeper.",
        discussion: """
            Text from znodes is printed with control characters escaped, such as \\n and \\u{1b}.

            Exit status of every command: 0 success; 1 the command failed, or there is nothing at the path; 64 an option, \
            an argument or a setting is not valid. Commands that run another command also have the statuses in their \
            own help.
            """,
        subcommands: [
            DemoCommand.self, ServerCommand.self, ExclusiveCommand.self, LockCommand.self, LeaderCommand.self,
            PartitionsCommand.self, ScheduleCommand.self,
            DemoProcessorCommand.self, DemoOperatorCommand.self,
        ]
    )

    static func main() async {
        var command: any ParsableCommand
        do { command = try await asyncParseAsRoot() } catch { endAfterParsing(error) }
        do {
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch { end(after: error) }
    }

    /// Prints a refusal of the command line, or the help that was asked for.
    private static func endAfterParsing(_ error: any Error) -> Never {
        let (text, code) = (fullMessage(for: error), exitCode(for: error))
        if code.isSuccess {
            Output.write(text + "\n", to: STDOUT_FILENO)
        } else {
            printRefusal(text, message(for: error))
        }
        Glibc.exit(code.rawValue)
    }

    /// - Parameters:
    ///   - text: The message with usage and hints in lines of their own.
    ///   - message: The part that may have the line breaks of an argument.
    private static func printRefusal(_ text: String, _ message: String) {
        let whole = text.replacing(message, with: Text.escaped(message), maxReplacements: 1)
        Output.note(lines: whole)
    }

    private static func end(after error: any Error) -> Never {
        switch error {
        case let code as ExitCode: Glibc.exit(code.rawValue)
        case is CleanExit: exit(withError: error)
        // Its last lines are those of a log.
        case let error as TestKitError:
            Output.note(lines: "Error: \(error.message.replacing("\t", with: "    "))")
        case let error as ValidationError: Output.note("Error: \(error.message)")
        case is CancellationError: Output.note("Error: interrupted")
        default: Output.note("Error: \(error)")
        }
        Glibc.exit(isRefusal(error) ? ExitCode.validationFailure.rawValue : ExitCode.failure.rawValue)
    }

    /// Whether an error says that an argument was wrong, which only the library has found.
    static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case is ValidationError: true
        case let error as ZooKeeperError:
            [.invalidPath, .invalidArgument, .invalidConfiguration].contains(error.code) && error.serverCode == nil
        case let error as LeadershipError: error.code == .invalidArgument
        case let error as PartitionError: error.code == .invalidArgument
        case let error as ExclusiveModeError: error.code == .invalidArgument
        case let error as ScheduledTaskError: error.code == .invalidArgument
        default: false
        }
    }
}
