import ArgumentParser
import CommandLineSupport
import Testing
import ZooKeeper
import ZooKeeperRecipes

@testable import zkrecipes
@testable import zkrecipes_dev

/// What the command line refuses before anything is asked for.
@Suite struct ArgumentTests {
    /// Arguments, and what the message has: what was given, and what would be right.
    struct Refusal: Sendable, CustomTestStringConvertible {
        var arguments: [String]
        var parts: [String]

        init(_ arguments: [String], _ parts: String...) {
            (self.arguments, self.parts) = (arguments, parts)
        }

        var testDescription: String { arguments.joined(separator: " ") }
    }

    /// The program that has a command.
    private static func root(of arguments: [String]) -> any RootCommand.Type {
        ["demo", "server"].contains(arguments.first) ? ZKRecipesDev.self : ZKRecipes.self
    }

    private func check(_ refusal: Refusal) {
        let root = Self.root(of: refusal.arguments)
        let error = #expect(throws: (any Error).self) { try root.parseAsRoot(refusal.arguments) }
        guard let error else { return }
        let message = root.message(for: error)
        #expect(root.exitCode(for: error).rawValue == 64)
        for part in refusal.parts { #expect(part.isEmpty || message.contains(part), "\(message)") }
    }

    /// The commands, with everything that they need but the option.
    private static let lock = ["lock", "/l"]
    private static let leader = ["leader", "run", "/l", "--id", "a"]
    private static let lead = ["lead", "/l"]
    private static let group = ["partitions", "run", "/g", "--id", "n", "--partitions", "p"]
    private static let window = ["exclusive", "run", "/b"]

    private static func refused(
        _ command: [String], _ option: String, _ values: [String], _ rule: String, after: [String] = []
    ) -> [Refusal] {
        values.map { Refusal(command + [option, $0] + after, $0, rule) }
    }

    /// What no option takes.
    ///
    /// Every one is tried with one option of each kind, and two of them with the others: to parse a command line takes an
    /// unoptimized build a tenth of a second of processor time, for which the tests beside it wait.
    private static let allOddTimes = ["-1", "nan", "inf", "-inf", "1e300", "", "10x", "0,5", "1m30s", "5 s", "."]
    private static let oddTimes = ["-1", "10x"]
    private static let allOddNumbers = ["-1", "1.5", "99999999999999999999", "", "one"]
    private static let oddNumbers = ["-1", "1.5"]

    private static let times: [Refusal] =
        refused(lock, "--wait", allOddTimes, "from 0s to 1d; the units are", after: ["--", "true"])
        + refused(lock, "--grace", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(lock, "--session-timeout", oddTimes + ["0"], "from 100ms to 1h", after: ["--", "true"])
        + refused(lock, "--connect-timeout", oddTimes + ["0"], "from 1ms to 1d", after: ["--", "true"])
        + refused(lead, "--wait", oddTimes + ["0"], "from 1ms to 1d", after: ["--", "true"])
        + refused(lead, "--grace", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(lead, "--takeover-delay", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(group, "--restart-delay", oddTimes + ["0"], "from 1ms to 1d", after: ["--", "true"])
        + refused(group, "--grace", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(window, "--abort-after", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(window, "--evict-after", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(window, "--grace", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(leader, "--act-every", oddTimes + ["0"], "from 1ms to 1d")
        + refused(leader, "--takeover-delay", oddTimes, "from 0s to 1d")
        + refused(group, "--act-every", oddTimes + ["0"], "from 1ms to 1d")
        + refused(group, "--absence-timeout", oddTimes, "from 0s to 1d")
        + refused(group, "--rebalance-delay", oddTimes, "from 0s to 1d")
        + refused(["server"], "--tick", oddTimes + ["0"], "from 50ms to 1m")
        + refused(["demo"], "--task-duration", oddTimes + ["0"], "from 50ms to 1h")
        + refused(["demo"], "--session-timeout", oddTimes + ["0"], "from 1s to 10m")
        + refused(["demo"], "--resume-delay", oddTimes, "from 0s to 10m")
        + refused(["demo"], "--connect-timeout", oddTimes + ["0"], "from 1ms to 1d")

    private static let numbers: [Refusal] =
        refused(leader, "--priority", allOddNumbers, "a whole number from 0 to 1000000")
        + refused(lead, "--priority", oddNumbers, "a whole number from 0 to 1000000", after: ["--", "true"])
        + refused(
            lock, "--semaphore", allOddNumbers + ["0", "2147483648"], "a whole number from 1 to 2147483647",
            after: ["--", "true"])
        + refused(group, "--capacity", oddNumbers, "a whole number from 0 to 1000000")
        + refused(group, "--weight", ["-1", "0", "nan", "inf", "1e300", ""], "a number from 0.001 to 1000000")
        + refused(["server"], "--port", oddNumbers + ["0", "65536"], "a whole number from 1 to 65535")
        + refused(["server"], "--members", oddNumbers + ["0", "2", "7"], "1, 3 or 5")
        + refused(["server", "--members", "3"], "--port", ["65534"], "from 1 to 65533")
        + refused(["demo"], "--processors", oddNumbers + ["0", "101"], "a whole number from 1 to 100")
        + refused(["demo"], "--rate", oddNumbers + ["0"], "a whole number from 1 to 1000000")
        + refused(["demo"], "--windows", oddNumbers + ["1001"], "a whole number from 0 to 1000")

    private static let gate = ["exclusive", "gate", "/b"]

    private static let pauses: [Refusal] =
        refused(gate, "--grace", oddTimes, "from 0s to 1d", after: ["--", "true"])
        + refused(
            gate, "--on-pause", ["", "Restart", "stop", "signal", "signals:USR1,USR2"], "restart, signal:",
            after: ["--", "true"])
        + refused(
            gate, "--on-pause", ["signal:", "signal:USR1", "signal:KILL", "signal:USR1,USR2,HUP"], "two signals",
            after: ["--", "true"])
        + [
            "KILL,USR1", "USR1,STOP", "TERM,USR1", "CONT,USR1", "USR3,USR1", "usr1,USR2", "10,12", ",USR1", "USR1,",
            "USR1\u{1b},USR2",
        ].map { Refusal(gate + ["--on-pause", "signal:\($0)", "--", "true"], "cannot be used", "USR1, USR2") }
        + [
            Refusal(gate + ["--on-pause", "signal:USR1,SIGUSR1", "--", "true"], "USR1", "use two signals"),
            Refusal(gate + ["--on-pause", "command:", "--on-resume", "true", "--", "true"], "command:", "./pause.sh"),
            Refusal(gate + ["--on-pause", "command: \n", "--on-resume", "true", "--", "true"], "command:", "use"),
            Refusal(gate + ["--on-pause", "command:true", "--", "true"], "command:", "--on-resume"),
            Refusal(gate + ["--on-pause", "command:true", "--on-resume", " ", "--", "true"], "--on-resume", "empty"),
            Refusal(gate + ["--on-resume", "true", "--", "true"], "--on-resume", "only for"),
            Refusal(gate + ["--id", "", "--", "true"], "--id", "web-1"),
            Refusal(gate, "command", "--"), Refusal(gate + ["--", ""], "command", "--"),
        ]

    @Test(arguments: times + numbers + pauses)
    private func `a number that cannot be is refused with its bounds`(refusal: Refusal) { check(refusal) }

    /// Paths, what is wrong with them, and what would be right.
    private static let oddPaths = [
        ("", "an empty path", "/"), ("/", "is the root", "/"), ("/orders/", "a trailing slash", "as /orders"),
        ("orders", "no slash", "as /orders"), ("/a//b", "an empty part", "as /a/b"), ("/a/../b", "\"..\"", "/"),
        ("/a\nb", "a control character", "/"), ("/a\u{9b}b", "U+9b", "/"), ("/a\u{1f600}", "U+1f600", "/"),
    ]

    @Test(arguments: oddPaths)
    private func `a path that no znode can have is refused`(path: String, rule: String, right: String) {
        check(Refusal(["lock", path, "--", "true"], Text.quoted(path), rule, right))
    }

    @Test func `a wrong path is refused by each command`() {
        let path = "/orders/"
        let commands: [[String]] = [
            ["lock", path, "--", "true"], ["lock", path, "--read", "--", "true"],
            ["lock", path, "--semaphore", "3", "--", "true"], ["lead", path, "--", "true"],
            ["partitions", "run", path, "--id", "a", "--partitions", "b", "--", "true"],
            ["exclusive", "run", path, "--", "true"], ["exclusive", "status", path],
            ["exclusive", "gate", path, "--", "true"],
            ["leader", "run", path, "--id", "a"], ["leader", "status", path], ["partitions", "status", path],
            ["partitions", "run", path, "--id", "a", "--partitions", "b"], ["partitions", "cordon", path, "a"],
            ["partitions", "uncordon", path, "a"], ["partitions", "status", "/g", "--from", path],
            ["schedule", "history", path], ["schedule", "now", path], ["lock", "run", path, "--", "true"],
            ["lock", "evict", path, "--yes"], ["lock", "release-request", path], ["leader", "resign", path],
            ["leader", "transfer", path, "--to", "a"], ["exclusive", "evict", path, "a", "--yes"],
        ]
        for command in commands { check(Refusal(command, Text.quoted(path), "a trailing slash", "as /orders")) }
    }

    private static let oddNames = [
        ("", "is empty"), ("a b", "white space"), (" a", "white space"), ("a\u{a0}b", "white space"),
        ("a\n", "white space"),
        (".", "\".\""), ("..", "\"..\""), ("a\u{1b}", "0x1b"), ("a\u{202e}b\u{1f600}", "U+1f600"), ("a/b", "slash"),
    ]

    @Test(arguments: oddNames)
    private func `a name that no znode can have is refused`(name: String, rule: String) {
        check(Refusal(["leader", "run", "/l", "--id", name], Text.quoted(name), rule))
        check(Refusal(["lead", "/l", "--id", name, "--", "true"], Text.quoted(name), rule))
        check(Refusal(["partitions", "run", "/g", "--partitions", "p", "--id", name], Text.quoted(name), rule))
        check(
            Refusal(["partitions", "run", "/g", "--id", "n", "--partitions", "p," + name], Text.quoted(name), rule))
        check(Refusal(["partitions", "status", "/g", "--partitions", name + ",p"], Text.quoted(name), rule))
    }

    @Test(arguments: [("", "is empty"), ("a\nowner=b", "U+a"), ("a\u{1b}[2J", "U+1b"), ("a\u{2028}", "U+2028")])
    private func `an ID that is no text of one line is refused`(id: String, rule: String) {
        check(Refusal(["exclusive", "gate", "/b", "--id", id, "--", "true"], "--id", Text.quoted(id), rule))
        check(
            Refusal(
                ["schedule", "run", "/t", "--id", id, "--every", "1m", "--", "true"], "--id", Text.quoted(id), rule))
    }

    @Test(arguments: [
        (["statsu", "/"], "zkrecipes has no command \"statsu\": did you mean \"status\"?"),
        (["exclusive", "gat", "/b"], "zkrecipes exclusive has no command \"gat\": did you mean \"gate\"?"),
        (["frobnicate"], "use one of demo, server, exclusive, lock,"),
        (["lock\u{1b}x"], "no command \"lock\\u{1b}x\""),
    ])
    private func `an unknown command is named, with the nearest name`(arguments: [String], message: String) throws {
        let error = try #require(ZKRecipes.unknownCommand(in: arguments))
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test(arguments: [
        [], ["--help"], ["help", "statsu"], ["status", "statsu"], ["exclusive"], ["exclusive", "--version"],
        ["lock", "/l", "--", "statsu"], ["demo", "x"], ["exclusive", "gate", "/b"],
    ])
    private func `the names of commands and their arguments are no unknown commands`(arguments: [String]) {
        #expect(ZKRecipes.unknownCommand(in: arguments) == nil)
    }

    @Test(arguments: ["a/b", "", "..", "a\u{1f600}"])
    private func `an operator cannot cordon what can be no node`(name: String) {
        check(Refusal(["partitions", "cordon", "/g", name], Text.quoted(name), "name"))
        check(Refusal(["partitions", "uncordon", "/g", name], Text.quoted(name), "name"))
    }

    private static let oddConnections = [
        "", "h", "h:", "h:0", "h:65536", "h:-1", "h:99999999999999999999", "h:2181,", "h:2181/a/", "h:2181/a//b",
        "h:2181/../a", " h:2181", "a b:2181", "h:2181/a,i:2181",
    ]

    private func check(connection text: String, of command: [String]) {
        check(Refusal(command, "--connect", "\"\(text)\"", "an example that is right"))
    }

    @Test(arguments: oddConnections)
    private func `a connection string that cannot be is refused`(text: String) {
        check(connection: text, of: ["exclusive", "status", "/b", "--connect", text])
    }

    @Test func `a wrong connection string is refused by each command`() {
        let text = "h:2181/a/"
        let commands: [[String]] = [
            ["lock", "/l", "--connect", text, "--", "true"], ["exclusive", "status", "/b", "--connect", text],
            ["leader", "status", "/l", "--connect", text], ["partitions", "status", "/g", "--connect", text],
            ["demo", "--connect", text], ["schedule", "history", "/t", "--connect", text],
        ]
        for command in commands { check(connection: text, of: command) }
    }

    @Test(arguments: [
        (["lock", "/l", "--log-level", "loud", "--", "true"], "loud", "warning"), (["lock", "/l"], "command", "--"),
        (["lock", "/l", "--log-format", "xml", "--", "true"], "xml", "text, json"),
        (["lead", "/l", "--log-format", "", "--", "true"], "--log-format", "text, json"),
        (["lock", "/l", "--", ""], "command", "--"), (["lead", "/l"], "command", "--"),
        (["lead", "/l", "--", ""], "command", "--"),
        (["lock", "/l", "--read", "--write", "--", "true"], "--write", "exclude each other"),
        (["lock", "/l", "--read", "--semaphore", "2", "--", "true"], "--semaphore", "use one of them, or none"),
        (["partitions", "run", "/g", "--id", "n", "--partitions", "p", "--", ""], "command", "--"),
        (
            ["partitions", "run", "/g", "--id", "n", "--partitions", "p", "--act-every", "1", "--", "true"],
            "--act-every", "without a command"
        ),
        (["partitions", "run", "/g", "--id", "n"], "--partitions", "--from"),
        (
            ["partitions", "run", "/g", "--id", "n", "--partitions", "p", "--from", "/p"], "--partitions",
            "use one of them"
        ),
        (["exclusive", "run", "/b", "--wait", "--abort-after", "1", "--", "true"], "--wait", "use one of them"),
        (["demo", "--windows", "0"], "--windows", "--fault"),
        (["schedule", "pause", "/t"], "--reason", "Missing"), (["leader", "transfer", "/l"], "--to", "--to"),
    ])
    func `arguments that do not fit are refused`(arguments: [String], input: String, rule: String) {
        check(Refusal(arguments, input, rule))
    }

    @Test func `what is usual is taken`() throws {
        let commands: [[String]] = [
            ["lock", "/my locks/a", "--wait", "0", "--id", "the nightly job", "--", "true"],
            ["lock", "/l", "--wait", "0.5", "--connect", "[::1]:2181,zk-2.example:2181/app", "--", "true"],
            ["leader", "run", "/l", "--id", "caf\u{e9}-1", "--priority", "3", "--act-every", "0.01"],
            ["partitions", "run", "/g", "--id", "n", "--partitions", "a,b", "--weight", "0.5", "--capacity", "0"],
            ["lead", "/l", "--priority", "3", "--takeover-delay", "0", "--wait", "1m", "--restart", "--", "true"],
            ["lock", "/l", "--write", "--log-format", "json", "--quiet", "--", "true"],
            ["lock", "/l", "--semaphore", "2147483647", "--", "true"],
            ["partitions", "run", "/g", "--id", "n", "--partitions", "a", "--restart-delay", "10ms", "--", "true"],
            ["partitions", "cordon", "/g", "web 1"], ["server", "--port", "65535"],
            ["demo", "--windows", "0", "--fault"], ["server", "--tick", "500ms"],
            ["exclusive", "gate", "/b", "--on-pause", "signal:SIGUSR1,HUP", "--", "true"],
            ["exclusive", "gate", "/b", "--on-pause", "command:a b", "--on-resume", "c", "--id", "w", "--", "true"],
            ["lock", "/l", "--wait", "1m", "--grace", "500ms", "--session-timeout", "10", "--", "true"],
        ]
        for command in commands { _ = try Self.root(of: command).parseAsRoot(command) }
    }

    private static let durations: [(String, Duration, String)] = [
        ("10s", .seconds(10), "10s"), ("10", .seconds(10), "10s"), ("0.5", .milliseconds(500), "500ms"),
        ("500ms", .milliseconds(500), "500ms"), ("0", .zero, "0s"), ("0ms", .zero, "0s"), ("2m", .seconds(120), "2m"),
        ("90s", .seconds(90), "90s"), ("1.5h", .seconds(5400), "90m"), ("36h", .seconds(129_600), "36h"),
        ("7d", .seconds(604_800), "7d"), ("250us", .microseconds(250), "250us"), ("7ns", .nanoseconds(7), "7ns"),
    ]

    @Test(arguments: durations)
    private func `a duration is read with its unit, and a bare number as seconds`(
        text: String, duration: Duration, description: String
    ) throws {
        let argument = try #require(DurationArgument(argument: text))
        #expect(argument.duration == duration && argument.description == description)
        #expect(DurationArgument(argument: description) == argument)
    }

    @Test(arguments: ["", "s", "-1s", "+1s", "1e3", "0x10", "1S", "10 s", "1.2.3s", "\u{661}s", "1000000d"])
    func `a text that is no duration is not read as one`(text: String) {
        #expect(DurationArgument(argument: text) == nil)
    }

    @Test func `an argument that only the library finds wrong is refused alike`() {
        #expect(ZKRecipes.isRefusal(RecipeError(.invalidArgument, in: .partitionGroup, path: "/g")))
        #expect(ZKRecipes.isRefusal(ZooKeeperError(.invalidPath, path: "/g")))
        #expect(!ZKRecipes.isRefusal(RecipeError(.notFound, in: .partitionGroup, path: "/g")))
        #expect(!ZKRecipes.isRefusal(ZooKeeperError(.noAuth)))
        #expect(!ZKRecipes.isRefusal(ZooKeeperError(.invalidArgument, serverCode: -8)))
    }

    private static let foreign: [(LockKind, [String], String?)] = [
        (.mutex, ["_c_ab-lock-0000000001"], nil), (.mutex, [], nil), (.mutex, ["a", "b"], nil),
        (.mutex, ["_c_ab-__READ__0000000001"], "use --read or --write"), (.mutex, ["leases", "locks"], "--semaphore"),
        (.read, ["_c_ab-__WRIT__0000000001"], nil), (.write, ["_c_ab-lock-0000000001"], "use neither"),
        (.semaphore(limit: 1), ["leases"], nil), (.semaphore(limit: 1), ["_c_ab-__WRIT__0000000001"], "--read"),
        (.mutex, ["members", "signal"], nil),
    ]

    @Test(arguments: foreign)
    private func `a lock of another kind is refused`(kind: LockKind, names: [String], remedy: String?) {
        let problem = kind.problem(ofChildren: names)
        if let remedy { #expect(problem?.contains(remedy) == true) } else { #expect(problem == nil) }
    }

    @Test func `the delays between starts double, and a stable command resets them`() {
        var delays = RestartDelays(first: .seconds(1))
        let times = (0..<8).map { _ in delays.next(after: .zero) }
        #expect(times == [1, 2, 4, 8, 16, 32, 60, 60].map { .seconds($0) })
        #expect(delays.next(after: .seconds(10)) == .seconds(1))
        #expect(delays.next(after: .seconds(9)) == .seconds(2))
        var long = RestartDelays(first: .seconds(100))
        #expect([long.next(after: .zero), long.next(after: .zero)] == [.seconds(100), .seconds(100)])
    }

    /// Every command that does something.
    private static func commands(below command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        let all = command.configuration.subcommands.filter { $0.configuration.shouldDisplay }
        return all.isEmpty ? [command] : all.flatMap(commands)
    }

    @Test func `the help of each duration shows its default or what happens without it`() {
        let all = ZKRecipes.configuration.subcommands + ZKRecipesDev.configuration.subcommands
        for command in all.filter({ !($0 is any DevelopmentCommand.Type) }).flatMap(Self.commands) {
            let words = ZKRecipes.helpMessage(for: command).split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(!words.contains("<seconds>"), "\(command)")
            guard words.contains("--session-timeout <duration>") else { continue }
            #expect(words.contains(/--session-timeout <duration> [^()]+\(default: \d+s\)/), "\(command)")
        }
    }

    @Test func `the help of each command tells its exit statuses`() {
        let all = ZKRecipes.configuration.subcommands + ZKRecipesDev.configuration.subcommands
        let groups = all.filter { $0.configuration.shouldDisplay && !($0 is any DevelopmentCommand.Type) }
        for command in groups.flatMap(Self.commands) {
            let words = ZKRecipes.helpMessage(for: command).split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(words.contains("Exit status"), "\(command)")
            #expect(words.contains(/64 invalid option\b/), "\(command)")
            #expect(words.contains("Example: zkrecipes"), "\(command)")
        }
        #expect(ZKRecipes.helpMessage().contains("64"))
    }
}
