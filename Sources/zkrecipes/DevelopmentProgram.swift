import ArgumentParser
import Glibc
import SystemSupport

/// `zkrecipes-dev`, which has the commands that start servers: a host of production does not need it.
enum DevelopmentProgram {
    static let name = "zkrecipes-dev"

    /// Becomes that program if the arguments name one of its commands.
    ///
    /// Comes before this program changes anything that the other would inherit. Returns if the program is not there and cannot
    /// be built: `swift run zkrecipes demo` has built this program alone, and a dependency would link the other one into it.
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

    /// Returns only if there is no such program.
    ///
    /// - Parameter words: What comes before this program's own arguments, which are passed on byte for byte.
    private static func replaceProcess(_ path: String, _ words: [String]) {
        withCStrings(words) { words in
            let own = (1..<Int(CommandLine.argc)).map { CommandLine.unsafeArgv[$0] }
            _ = execv(path, words.dropLast() + own + [nil])
        }
    }
}

/// A folder `.build` in which SwiftPM has built this program.
private struct Checkout {
    /// Builds the missing program and becomes it; `$0` is its path.
    var script: String

    /// - Parameter program: `PACKAGE/.build/.../TRIPLE/CONFIGURATION/PROGRAM`. Any other folder is left alone: building would
    ///   run the code of its `Package.swift`.
    init?(of program: String) {
        let parts = program.split(separator: "/").map(String.init)
        guard let build = parts.lastIndex(of: ".build"), parts.count >= build + 4 else { return nil }
        let configuration = parts[parts.count - 2]
        guard ["debug", "release"].contains(configuration) else { return nil }
        let (package, scratch) = (Self.quoted(parts[..<build]), Self.quoted(parts.dropLast(3)))
        script = """
            [ -e /dev/fd/2 ] || exec 2>/dev/null
            if ! command -v swift >/dev/null; then
                echo "zkrecipes: this command needs $0, and there is no swift to build it" >&2
                exit 1
            fi
            echo 'zkrecipes: building zkrecipes-dev, which has this command' >&2
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

/// A command that is in another program, which is not there.
private struct MissingProgram: Error, CustomStringConvertible {
    let description =
        "this command needs \(siblingProgram(DevelopmentProgram.name)), which is not there: build it with "
        + "`swift build -c release --product \(DevelopmentProgram.name)`, and copy it into the same folder"
}

/// A command of ``DevelopmentProgram``.
protocol DevelopmentCommand: ParsableCommand {}

extension DevelopmentCommand {
    static func describe(_ name: String, _ abstract: String) -> CommandConfiguration {
        CommandConfiguration(
            commandName: name, abstract: abstract,
            discussion: """
                A command of \(DevelopmentProgram.name), a program in the same folder, which \
                `swift build --product \(DevelopmentProgram.name)` builds. `zkrecipes \(name) --help` lists its options.
                """)
    }

    /// Runs only if the other program could not be started.
    func run() throws { throw MissingProgram() }
}

struct DemoCommand: DevelopmentCommand {
    static let configuration = describe(
        "demo", "Shows processors that pause for a task, on a real server, and checks that they did.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}

struct ServerCommand: DevelopmentCommand {
    static let configuration = describe(
        "server", "Runs a development server or ensemble until it is interrupted.")

    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []
}
