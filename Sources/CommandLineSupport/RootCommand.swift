package import ArgumentParser
import Glibc
import ZooKeeper

/// The root of a program's commands, which determines the exit status and prints errors.
package protocol RootCommand: AsyncParsableCommand {
    /// Whether an error of the libraries that this module does not know reports an invalid argument.
    static func isInvalidArgument(_ error: any Error) -> Bool
    /// The text about an error, in one or more lines; `nil` if the root command has no special text for it.
    static func lines(about error: any Error) -> String?
}

extension RootCommand {
    /// Runs the program.
    package static func start() -> Never {
        // In this order and first, because these calls concern all descriptors, all threads and the environment.
        ProgramDescriptors.prepare()
        ProgramSignals.prepare()
        ServiceManager.prepare()
        // Detached, because this thread only handles signals and never runs a task.
        Task.detached { await Glibc.exit(Output.finish(with: status())) }
        ProgramSignals.shared.handle()
    }

    package static func lines(about error: any Error) -> String? { nil }

    package static func isInvalidArgument(_ error: any Error) -> Bool { false }

    /// Whether an error reports an invalid argument, including those that only the libraries can detect.
    package static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case is ValidationError: true
        case let error as ZooKeeperError:
            [.invalidPath, .invalidArgument, .invalidConfiguration].contains(error.code) && error.serverCode == nil
        default: isInvalidArgument(error)
        }
    }

    /// Runs the command that the arguments select.
    ///
    /// - Returns: The exit status.
    private static func status() async -> Int32 {
        var command: any ParsableCommand
        do {
            if let error = unknownCommand(in: CommandLine.arguments.dropFirst()) { throw error }
            command = try await asyncParseAsRoot()
        } catch {
            return statusAfterParsing(error)
        }
        do {
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return EXIT_SUCCESS
        } catch {
            return status(after: error)
        }
    }

    /// Prints the error about an invalid command line, or the requested help.
    private static func statusAfterParsing(_ error: any Error) -> Int32 {
        let (text, code) = (fullMessage(for: error), exitCode(for: error))
        if code.isSuccess {
            Output.writeResult(text + "\n")
        } else {
            printRefusal(text, message(for: error))
        }
        return code.rawValue
    }

    /// Prints the error about an invalid command line.
    ///
    /// - Parameters:
    ///   - text: The whole text, with usage and hints in lines of their own.
    ///   - message: The part of the text that may contain line breaks of an argument.
    private static func printRefusal(_ text: String, _ message: String) {
        // Messages of the parser have several lines of their own.
        let hasLineBreaks = CommandLine.arguments.contains { $0.unicodeScalars.contains("\n") }
        let shown = hasLineBreaks ? Text.escaped(message) : message
        Output.note(lines: text.replacing(message, with: shown, maxReplacements: 1))
    }

    /// The text about an error: what happened and what to do.
    package static func explanation(of error: any Error) -> String {
        if let lines = lines(about: error) { return lines }
        return switch error {
        case let error as ValidationError: Text.escaped(error.message)
        case let error as ZooKeeperError: error.explanation
        case is CancellationError: "interrupted"
        default: Text.escaped("\(error)")
        }
    }

    private static func status(after error: any Error) -> Int32 {
        switch error {
        case let code as ExitCode: return code.rawValue
        // The parser throws the help text that it prints.
        case _ where exitCode(for: error).isSuccess:
            Output.writeResult(fullMessage(for: error) + "\n")
            return EXIT_SUCCESS
        default: Output.report(lines: explanation(of: error))
        }
        return isRefusal(error) ? ExitCode.validationFailure.rawValue : ExitCode.failure.rawValue
    }
}
