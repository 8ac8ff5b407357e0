import ArgumentParser
import CommandLineSupport
import Glibc

/// How a command is paused for a window.
enum PauseMethod: Sendable, Equatable {
    /// The command is ended, and started again after the window.
    case restart
    /// Signals ask the command to pause and to resume; it acknowledges both in writing.
    case signals(pause: Int32, resume: Int32)
    /// Shell commands pause and resume the command; their exit status 0 is the acknowledgement.
    case shell(pause: String, resume: String)
}

/// The argument of `--on-pause`, without the command that resumes.
enum PauseArgument: Sendable, Equatable {
    case restart
    case signals(pause: Int32, resume: Int32)
    case shell(String)

    /// The signals that a program can use for this purpose.
    ///
    /// Others cannot be handled, or end, stop or continue commands, or have a meaning for every program.
    private static let signals: KeyValuePairs<String, Int32> = [
        "USR1": SIGUSR1, "USR2": SIGUSR2, "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ALRM": SIGALRM,
        "WINCH": SIGWINCH, "URG": SIGURG,
    ]

    /// Parses the argument, as the `transform` of an option.
    ///
    /// - Throws: `ValidationError` if the text is not one of the three methods, or names a signal that cannot be used.
    static func parse(_ text: String) throws -> Self {
        if text == "restart" { return .restart }
        if let names = text.suffix(after: "signal:") { return try parseSignals(names) }
        if let command = text.suffix(after: "command:") {
            guard !command.allSatisfy(\.isWhitespace) else {
                throw ValidationError("there is no command after command:, use for example command:./pause.sh")
            }
            return .shell(command)
        }
        throw ValidationError("it must be restart, signal:<pause>,<resume> or command:<command>")
    }

    private static func parseSignals(_ text: String) throws -> Self {
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard names.count == 2 else {
            throw ValidationError("it must name two signals, one to pause and one to resume: use signal:USR1,USR2")
        }
        let numbers = try names.map(number)
        guard numbers[0] != numbers[1] else {
            throw ValidationError("both signals are \(Text.quoted(names[0])): use two signals, as in signal:USR1,USR2")
        }
        return .signals(pause: numbers[0], resume: numbers[1])
    }

    private static func number(of name: String) throws -> Int32 {
        let short = name.suffix(after: "SIG") ?? name
        if let found = signals.first(where: { $0.key == short }) { return found.value }
        let usable = signals.map(\.key).joined(separator: ", ")
        throw ValidationError("the signal \(Text.quoted(name)) cannot be used: use two of \(usable)")
    }

    /// Combines the argument with that of `--on-resume`.
    ///
    /// - Throws: `ValidationError` if the two do not fit.
    func method(resumedBy command: String?) throws -> PauseMethod {
        switch (self, command) {
        case (.shell(let pause), let resume?):
            guard !resume.allSatisfy(\.isWhitespace) else {
                throw ValidationError("--on-resume is empty: use for example --on-resume ./resume.sh")
            }
            return .shell(pause: pause, resume: resume)
        case (.shell, nil):
            throw ValidationError("--on-pause command:<command> needs --on-resume, with the command that resumes")
        case (_, _?):
            throw ValidationError("--on-resume is only for --on-pause command:<command>")
        case (.restart, nil): return .restart
        case (.signals(let pause, let resume), nil): return .signals(pause: pause, resume: resume)
        }
    }
}

extension String {
    /// Returns the text after a prefix; `nil` if the text does not have the prefix.
    fileprivate func suffix(after prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}
