import ArgumentParser
import CommandLineSupport
import Glibc
import SystemSupport

/// The program `zkrecipes-dev` with the commands that start servers, which production hosts do not need.
enum DevelopmentProgram {
    static let name = "zkrecipes-dev"

    /// Replaces this process by that program if the arguments select one of its commands.
    ///
    /// Call this before this program changes anything that the other one would inherit. It builds a missing program,
    /// because `swift run zkrecipes demo` builds only this one, and a dependency would link the other one into it. It
    /// returns if the program is missing and cannot be built.
    static func takeOver() {
        let words = CommandLine.arguments
        let commands = [DemoCommand.configuration, ServerCommand.configuration]
        guard words.count > 1, commands.contains(where: { $0.commandName == words[1] }) else { return }
        let program = siblingProgram(name)
        if access(program, X_OK) != 0, let script = Checkout(of: program)?.script {
            replaceProcess("/bin/sh", ["/bin/sh", "-c", script, program])
        }
        replaceProcess(program, [program])
    }

    /// Replaces this process by a program; returns only if that fails.
    ///
    /// - Parameters:
    ///   - path: The path of the program.
    ///   - words: The first words of the command line, before this program's arguments, which are passed on byte for
    ///     byte.
    private static func replaceProcess(_ path: String, _ words: [String]) {
        withCStrings(words) { words in
            let own = (1..<Int(CommandLine.argc)).map { CommandLine.unsafeArgv[$0] }
            _ = execv(path, words.dropLast() + own + [nil])
        }
    }
}

/// A folder `.build` in which SwiftPM built this program.
private struct Checkout {
    /// A shell script that builds the missing program and runs it; `$0` is its path.
    var script: String

    /// Finds the checkout of a program.
    ///
    /// - Parameter program: `PACKAGE/.build/.../TRIPLE/CONFIGURATION/PROGRAM`. The result is `nil` for other folders,
    ///   because building would run the code of their `Package.swift`.
    init?(of program: String) {
        let parts = program.split(separator: "/").map(String.init)
        guard let build = parts.lastIndex(of: ".build"), parts.count >= build + 4 else { return nil }
        let configuration = parts[parts.count - 2]
        guard ["debug", "release"].contains(configuration) else { return nil }
        let (package, scratch) = (Self.quoted(parts[..<build]), Self.quoted(parts.dropLast(3)))
        script = """
            [ -e /dev/fd/2 ] || exec 2>/dev/null
            if ! command -v swift >/dev/null; then
                printf '%s\\n' "zkrecipes: this command needs $0, and swift is not installed to build it" >&2
                exit 1
            fi
            printf '%s\\n' 'zkrecipes: building zkrecipes-dev, which contains this command' >&2
            swift build --package-path \(package) --scratch-path \(scratch) -c \(configuration) \
                --product zkrecipes-dev >&2 &
            trap 'kill $!' HUP INT TERM
            wait $! && [ -x "$0" ] || exit 1
            trap - HUP INT TERM
            exec "$0" "$@"
            """
    }

    private static func quoted(_ parts: some Sequence<String>) -> String {
        "'" + parts.map { "/" + $0.replacing("'", with: "'\\''") }.joined() + "'"
    }
}

/// The error if a command is part of the other program, which is missing.
private struct MissingProgram: Error, CustomStringConvertible {
    let description =
        "this command needs \(siblingProgram(DevelopmentProgram.name)), which does not exist: build it with "
        + "`swift build -c release --product \(DevelopmentProgram.name)`, and copy it into the same folder"
}

/// A command of ``DevelopmentProgram``.
protocol DevelopmentCommand: ParsableCommand {}

extension DevelopmentCommand {
    static func describe(_ name: String, _ abstract: String) -> CommandConfiguration {
        CommandConfiguration(
            commandName: name, abstract: abstract,
            discussion: """
                This command is part of \(DevelopmentProgram.name), a separate program in the same folder. Build it \
                with `swift build --product \(DevelopmentProgram.name)`; then `zkrecipes \(name) --help` lists the \
                options.

                \(HelpText.example("zkrecipes \(name)"))

                \(HelpText.exitStatus([
                    "0": "success",
                    "1": "failure, such as a missing \(DevelopmentProgram.name)",
                    "64": "invalid option",
                ]))
                """)
    }

    /// Reports that the other program could not be started.
    func run() throws { throw MissingProgram() }
}

struct DemoCommand: DevelopmentCommand {
    static let configuration = describe(
        "demo", "Runs processors that pause for a task, and checks their logs.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct ServerCommand: DevelopmentCommand {
    static let configuration = describe(
        "server", "Runs a development server or ensemble until a signal.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}
