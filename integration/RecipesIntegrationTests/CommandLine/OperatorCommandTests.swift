import Foundation
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What operators see of an ensemble: of one where nothing is, and of one where anybody has written anything.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct OperatorCommandTests {
    private var connection: String { TestServer.current.connectionString }

    private func run(_ arguments: [String]) async throws -> ProgramRun {
        try await ProgramRun(arguments, connect: connection)
    }

    private func withClient(_ body: (ZooKeeperClient) async throws -> Void) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { try await body($0) }
    }

    private func create(_ path: String, _ text: String = "", with client: ZooKeeperClient) async throws {
        try await client.create(path, data: Array(text.utf8), parents: true)
    }

    // MARK: Nothing there

    @Test(arguments: [
        ["exclusive", "status"], ["exclusive", "status", "--json"], ["leader", "status"], ["partitions", "status"],
        ["partitions", "status", "--partitions", "a,b"], ["schedule", "history"],
    ])
    func `a status of a mistyped path says that nothing is there, and fails`(command: [String]) async throws {
        try await withClient { client in
            if try await client.exists(at: "/other/things") == nil { try await create("/other/things", with: client) }
            for path in ["/mistyped", "/other/mistyped", "/other"] {
                let said = try await run(command + [path])
                #expect(said.status == .exited(1), "\(said)")
                #expect(said.lines.isEmpty, "\(said)")
                #expect(said.errors.count == 1 && said.errors[0].contains(path), "\(said)")
            }
        }
    }

    // MARK: Help

    @Test(arguments: [
        [], ["acl"], ["acl", "show"], ["acl", "set"], ["demo"], ["server"], ["lock"], ["exclusive"],
        ["exclusive", "run"], ["exclusive", "status"], ["leader"],
        ["leader", "run"], ["leader", "status"], ["leader", "transfer"], ["lock", "run"], ["lock", "evict"],
        ["lock", "release-request"], ["exclusive", "evict"], ["partitions", "run"], ["partitions", "status"],
        ["partitions", "cordon"],
        ["schedule", "run"], ["schedule", "next"], ["schedule", "history"], ["schedule", "backfill"],
        ["schedule", "withdraw"],
    ])
    func `each command prints its help, and ends with 0`(command: [String]) async throws {
        for arguments in [command + ["--help"], command + ["-h"], ["help"] + command] {
            let said = try await ProgramRun(arguments)
            #expect(said.status == .exited(0), "\(arguments): \(said)")
            #expect(said.errors.isEmpty)
            #expect(said.lines.contains { $0.hasPrefix("USAGE: zkrecipes") }, "\(arguments): \(said)")
        }
    }

    @Test func `an unknown command is named, with the nearest name`() async throws {
        let said = try await ProgramRun(["statsu", "/"])
        #expect(said.status == .exited(64) && said.lines.isEmpty, "\(said)")
        #expect(said.errors.first?.contains("no command \"statsu\": did you mean \"status\"?") == true, "\(said)")
    }

    @Test func `a completion script is printed`() async throws {
        let said = try await ProgramRun(["--generate-completion-script", "bash"])
        #expect(said.status == .exited(0) && said.errors.isEmpty && said.lines.count > 20)
    }

    @Test func `a window at a path where nobody takes part says so`() async throws {
        let said = try await run(["exclusive", "run", "/mistyped-window", "--", "true"])
        #expect(said.status == .exited(0))
        #expect(said.errors.count == 1 && said.errors[0].contains("/mistyped-window"), "\(said)")
    }

    // MARK: Hostile text

    private static let hostile = "a\u{1b}[2J\nroot: all is well\u{9b}2J\u{202e}"

    /// That a line shows the hostile text, and that no line does what it says.
    private func expectHarmless(_ said: ProgramRun) {
        let all = said.lines + said.errors
        #expect(all.contains { $0.contains("all is well") }, "\(said)")
        #expect(!all.contains { $0.hasPrefix("root:") }, "\(said)")
        for scalar in ["\u{1b}", "\u{9b}", "\u{202e}"] as [Unicode.Scalar] {
            #expect(!all.contains { $0.unicodeScalars.contains(scalar) }, "\(said)")
        }
    }

    @Test func `text from znodes is printed escaped by each status`() async throws {
        try await withClient { client in
            // A read lock's znode with a processor's record, and a window's signal.
            let lines = Self.hostile.replacing("\n", with: "\\n")
            try await create("/hostile/signal", "owner=\(lines)\nreason=\(lines)", with: client)
            let window = try await run(["exclusive", "status", "/hostile"])
            #expect(window.status == .exited(0))
            expectHarmless(window)
            let json = try await run(["exclusive", "status", "/hostile", "--json"])
            #expect(json.lines.count == 1)
            expectHarmless(json)

            try await client.create(
                "/candidates/x-latch-", data: Array(Self.hostile.utf8), mode: .persistentSequential,
                parents: true)
            let leader = try await run(["leader", "status", "/candidates"])
            #expect(leader.lines.count == 1 && leader.status == .exited(0), "\(leader)")
            expectHarmless(leader)

            try await create("/shards/members/n1", with: client)
            try await create("/shards/cordons/n1", "note=\(lines)", with: client)
            let group = try await run(["partitions", "status", "/shards"])
            #expect(group.status == .exited(0))
            expectHarmless(group)
        }
    }

    @Test func `what an operator typed is printed escaped, in refusals as well`() async throws {
        let refused = try await run(["leader", "status", "/\(Self.hostile)"])
        #expect(refused.status == .exited(64))
        expectHarmless(refused)
        let unknown = try await run(["schedule", "history", "/x\u{202e}all is well"])
        #expect(unknown.status == .exited(1))
        expectHarmless(unknown)
    }

    @Test func `a failed run's record says how its command ended`() async throws {
        let task = try ProgramRun.start(
            ["schedule", "run", "/task", "--id", "one", "--with-leadership", "--", "/bin/sh", "-c", "exit 3"],
            connect: connection)
        let history = try await {
            while true {
                let said = try await run(["schedule", "history", "/task"])
                if said.lines.contains(where: { $0.contains("failed") }) { return said }
            }
        }()
        #expect(history.lines.contains { $0.contains("the command ended with exit status 3") }, "\(history)")
        #expect(!history.lines.contains { $0.contains("CommandEnding") }, "\(history)")
        try task.terminate()
        try await task.waitForExit()
    }

    // MARK: Log lines

    @Test func `standard error has warnings alone, unless more is asked for`() async throws {
        for (options, isEmpty) in [([], true), (["--log-level", "debug"], false)] {
            let arguments = ["leader", "run", "/quiet", "--id", "one"] + options
            let process = try ProgramRun.start(arguments, connect: connection)
            try await process.line { $0.hasPrefix("leading") }
            try process.terminate()
            #expect(try await process.waitForExit() == .exited(0))
            var noise: [String] = []
            for try await line in process.lines where line.hasPrefix(ProgramRun.mark) { noise.append(line) }
            #expect(noise.isEmpty == isEmpty, "\(noise)")
        }
    }

    // MARK: Partitions

    @Test func `a node that is there and cordoned is not said to be missing`() async throws {
        try await withClient { client in
            try await create("/cordoned/members/web1", "weight=1.0\ncordoned=no\n", with: client)
            try await create("/cordoned/members/web2", "weight=1.0\ncordoned=no\n", with: client)
            try await create("/list/p", "preferred=web1", with: client)
            let done = try await run(["partitions", "cordon", "/cordoned", "web1", "--reason", "a disk fails"])
            #expect(done.lines == ["web1 is cordoned"])
            let status = try await run(["partitions", "status", "/cordoned", "--from", "/list"])
            #expect(status.lines.contains { $0.contains("; cordoned: web1;") }, "\(status)")
            #expect(!status.lines.contains { $0.contains("not there") }, "\(status)")
        }
    }

    // MARK: Connections

    /// The address of a port that nobody listens on.
    private static let dead = "127.0.0.1:9"

    @Test(arguments: [
        ["demo"], ["exclusive", "status", "/b"], ["leader", "status", "/l"], ["leader", "run", "/l", "--id", "a"],
        ["partitions", "status", "/g"], ["partitions", "cordon", "/g", "n"], ["partitions", "uncordon", "/g", "n"],
        ["partitions", "run", "/g", "--id", "n", "--partitions", "p"], ["schedule", "history", "/t"],
        ["schedule", "pause", "/t", "--reason", "x"], ["lock", "/l", "--", "true"],
        ["exclusive", "run", "/b", "--", "true"],
    ])
    func `a command that reaches no ensemble says what it waits for, and fails`(command: [String]) async throws {
        let split = command.firstIndex(of: "--") ?? command.endIndex
        let said = try await ProgramRun(
            command[..<split] + ["--connect-timeout", "1.2"] + command[split...], connect: Self.dead)
        #expect(said.status == .exited(split == command.endIndex ? 1 : 125), "\(said)")
        #expect(said.errors.count == 2, "\(said)")
        let first = said.errors.first ?? ""
        #expect(first.hasPrefix("zkrecipes: waiting for a connection to \(Self.dead), up to 1.2 s"), "\(said)")
        let last = said.errors.last ?? ""
        #expect(last.contains("no connection to \(Self.dead) within 1.2 s"), "\(said)")
        #expect(last.contains("--connect-timeout"), "\(said)")
    }

    @Test(arguments: [
        ["exclusive", "status", "/b"], ["leader", "run", "/l", "--id", "a"], ["lock", "/l", "--", "true"],
        ["exclusive", "run", "/b", "--", "true"], ["partitions", "run", "/g", "--id", "n", "--partitions", "p"],
        ["schedule", "history", "/t"],
    ])
    func `a chroot that does not exist is named`(command: [String]) async throws {
        let said = try await ProgramRun(command, connect: "\(connection)/absent/chroot")
        #expect(said.status == .exited(64), "\(said)")
        #expect(said.errors.count == 1 && said.errors[0].contains("create /absent/chroot"), "\(said)")
    }

    @Test func `the variable is named when it cannot be read`() async throws {
        let said = try await ProgramRun(["leader", "status", "/l"], environment: ["ZOOKEEPER_CONNECT": "h:0"])
        #expect(said.status == .exited(64), "\(said)")
        #expect(said.errors.first?.contains("ZOOKEEPER_CONNECT") == true, "\(said)")
    }

    // MARK: The demo

    /// A demo on the suite's server, as short as one can be.
    private func demo() throws -> TestProcess {
        try ProgramRun.start(
            [
                "demo", "--processors", "1", "--windows", "1", "--task-duration", "200ms", "--session-timeout", "1",
                "--resume-delay", "0.2",
            ], connect: connection)
    }

    private func demoZNodes() async throws -> [String] {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await client.children(of: "/").names.filter { $0.hasPrefix("zkrecipes-demo") }
        }
    }

    @Test func `a demo removes its znodes after a success`() async throws {
        let demo = try demo()
        #expect(try await demo.waitForExit() == .exited(0))
        #expect(try await demoZNodes().isEmpty)
    }

    @Test(arguments: [true, false])
    func `a demo removes its znodes when it is interrupted`(byTerminal: Bool) async throws {
        let demo = try demo()
        try await demo.line { $0.contains("is running") }
        #expect(try await !demoZNodes().isEmpty)
        if byTerminal { try demo.interrupt() } else { try demo.terminate() }
        #expect(try await demo.waitForExit() == .exited(1))
        #expect(try await demoZNodes().isEmpty)
    }

    @Test func `the folders of a killed demo are removed by the next one`() async throws {
        let folders = { @Sendable () throws -> Set<String> in
            let names = try FileManager.default.contentsOfDirectory(atPath: NSTemporaryDirectory())
            return Set(names.filter { $0.hasPrefix("zkrecipes-") })
        }
        let before = try folders()
        let killed = try demo()
        try await killed.line { $0.contains("is running") }
        let left = try folders().subtracting(before)
        #expect(!left.isEmpty)
        await killed.kill()
        #expect(try folders().isSuperset(of: left))
        let next = try demo()
        #expect(try await next.waitForExit() == .exited(0))
        #expect(try folders().isDisjoint(with: left))
    }
}
