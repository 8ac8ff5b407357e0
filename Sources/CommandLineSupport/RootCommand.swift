package import ArgumentParser
import Glibc
import ZooKeeper

/// The root of a program's commands, which decides on the exit status and on what is printed about an error.
package protocol RootCommand: AsyncParsableCommand {
    /// Whether an error of the program's own libraries reports an invalid argument.
    static func isInvalidArgument(_ error: any Error) -> Bool
    /// The lines that say more about an error than its description in one line does; `nil` if there are none.
    static func lines(about error: any Error) -> String?
}

extension RootCommand {
    /// Runs the program.
    package static func start() -> Never {
        // In this order and before anything else: it concerns all descriptors and all threads.
        ProgramDescriptors.prepare()
        ProgramSignals.prepare()
        // Detached, because this thread never runs a task.
        Task.detached { await Glibc.exit(status()) }
        ProgramSignals.shared.handle()
    }

    package static func lines(about error: any Error) -> String? { nil }

    package static func isInvalidArgument(_ error: any Error) -> Bool { false }

    /// Whether an error reports an invalid argument, also one that only the libraries have found.
    package static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case is ValidationError: true
        case let error as ZooKeeperError:
            [.invalidPath, .invalidArgument, .invalidConfiguration].contains(error.code) && error.serverCode == nil
        default: isInvalidArgument(error)
        }
    }

    /// Runs the command that the arguments name; returns the status to exit with.
    private static func status() async -> Int32 {
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
        case let error as ValidationError: Output.note("Error: \(error.message)")
        case is CancellationError: Output.note("Error: interrupted")
        default: Output.note(lines: "Error: \(lines(about: error) ?? Text.escaped("\(error)"))")
        }
        return isRefusal(error) ? ExitCode.validationFailure.rawValue : ExitCode.failure.rawValue
    }
}
