import ArgumentParser
import Glibc
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@main
enum Program {
    static func main() {
        // In this order and before anything else: it concerns all descriptors and all threads.
        ProgramDescriptors.prepare()
        ProgramSignals.prepare()
        // Detached, because this thread never runs a task.
        Task.detached { await exit(ZKRecipes.status()) }
        ProgramSignals.shared.handle()
    }
}

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

    /// Runs the command that the arguments name; returns the status to exit with.
    fileprivate static func status() async -> Int32 {
        var command: any ParsableCommand
        do { command = try await asyncParseAsRoot() } catch { return Output.status(statusAfterParsing(error)) }
        do {
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return Output.status(EXIT_SUCCESS)
        } catch {
            return Output.status(status(after: error))
        }
    }

    /// Prints a refusal of the command line, or the help that was asked for.
    private static func statusAfterParsing(_ error: any Error) -> Int32 {
        let (text, code) = (fullMessage(for: error), exitCode(for: error))
        if code.isSuccess {
            Output.writeResult(text + "\n")
        } else {
            printRefusal(text, message(for: error))
        }
        return code.rawValue
    }

    /// - Parameters:
    ///   - text: The message with usage and hints in lines of their own.
    ///   - message: The part that may have the line breaks of an argument.
    private static func printRefusal(_ text: String, _ message: String) {
        let whole = text.replacing(message, with: Text.escaped(message), maxReplacements: 1)
        Output.note(lines: whole)
    }

    private static func status(after error: any Error) -> Int32 {
        switch error {
        case let code as ExitCode: return code.rawValue
        // The parser's own end: `--help` is a command that throws what it prints.
        case _ where exitCode(for: error).isSuccess:
            Output.writeResult(fullMessage(for: error) + "\n")
            return EXIT_SUCCESS
        // Its last lines are those of a log.
        case let error as TestKitError:
            Output.note(lines: "Error: \(error.message.replacing("\t", with: "    "))")
        case let error as ValidationError: Output.note("Error: \(error.message)")
        case is CancellationError: Output.note("Error: interrupted")
        default: Output.note("Error: \(error)")
        }
        return isRefusal(error) ? ExitCode.validationFailure.rawValue : ExitCode.failure.rawValue
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
