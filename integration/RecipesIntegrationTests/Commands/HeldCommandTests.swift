import Glibc
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import zkrecipes_dev

/// Commands that run under a mutex, in the situations in which people start, stop and kill such programs.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(5)))
struct HeldCommandTests {
    private var connection: String { TestServer.current.connectionString }
    private static let loop = "while :; do sleep 0.02; done"

    /// Runs a shell's text in which `$0` is the program.
    private func shell(_ text: String) throws -> TestProcess {
        try TestProcess(
            "/bin/sh", arguments: ["-c", text, TestProcess.path(ofProduct: "zkrecipes")],
            environment: ["ZOOKEEPER_CONNECT": connection])
    }

    private func lock(_ path: String, _ options: String..., script: String) throws -> TestProcess {
        try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: ["lock", path] + options + ["--connect", connection, "--", "/bin/sh", "-c", script])
    }

    /// The state of a process in one letter.
    private func state(of id: Int32) -> Character? {
        guard let text = try? readBytes("/proc/\(id)/stat") else { return nil }
        return String(decoding: text, as: UTF8.self).split(separator: ")").last?.dropFirst().first
    }

    private func wait(until condition: () -> Bool) async throws {
        while !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    // MARK: What the program reports

    @Test func `a lost connection is reported, and that it is back`() async throws {
        try await withTestServer { server in
            let process = try TestProcess(
                "/bin/sh",
                arguments: [
                    "-c", "exec \"$0\" leader run /one --id a --session-timeout 4 --connect \"$1\" 2>&1",
                    TestProcess.path(ofProduct: "zkrecipes"), server.connectionString,
                ])
            try await process.line { $0.hasPrefix("leading") }
            await server.kill()
            try await process.line { $0.contains("the connection is lost") }
            try await server.start()
            try await process.line { $0.contains("connected again") }
            try process.terminate()
            #expect(try await process.waitForExit() == .exited(0))
        }
    }

    @Test func `a window that waits reports for what`() async throws {
        let first = try shell("exec \"$0\" exclusive run /waiting -- /bin/sh -c 'echo open; exec sleep 600'")
        try await first.line { $0 == "open" }
        let second = try shell("exec \"$0\" exclusive run /waiting -- echo second 2>&1")
        let line = try await second.line { $0.contains("waiting;") }
        #expect(line.contains("/waiting: a window is open"))
        try first.terminate()
        try await second.line { $0 == "second" }
        #expect(try await second.waitForExit() == .exited(0))
    }

    // MARK: The program is killed

    @Test func `no command outlives a program that is killed at any early moment`() async throws {
        for round in 0..<80 {
            let process = try lock(
                "/early-\(round)", "--session-timeout", "2", script: "echo open; setsid sleep 600 & exec sleep 600")
            // From before the session until after the command has started.
            if round.isMultiple(of: 2) {
                try await Task.sleep(for: .microseconds(.random(in: 0...150_000)))
            } else {
                try await process.line { $0 == "open" }
            }
            await process.kill()
            // The output ends when nobody is left who could write to it.
            let output = try await process.output()
            #expect(output.isEmpty || output == ["open"])
        }
    }

    @Test func `a guard that is killed takes the command with it`() async throws {
        let process = try lock("/guard", script: "echo $PPID; exec sleep 600")
        let id = try #require(Int32(try await process.line { Int32($0) != nil }))
        #expect(kill(id, SIGKILL) == 0)
        #expect(try await process.waitForExit() == .exited(125))
    }

    // MARK: The program is stopped

    /// What a command can run under.
    enum Grants: String, CaseIterable, Sendable {
        case lock, window

        var words: [String] { self == .lock ? ["lock"] : ["exclusive", "run"] }

        /// Holds the same as soon as it can be had.
        func next(_ client: ZooKeeperClient, _ path: String, _ body: @escaping @Sendable () -> Void) async throws {
            switch self {
            case .lock: try await DistributedMutex(client: client, path: path).withLock { _ in body() }
            case .window: try await ExclusiveMode(client: client, path: path).withWindow(reason: "next") { _ in body() }
            }
        }
    }

    @Test(arguments: Grants.allCases)
    func `a command has ended before the next holder begins, also if the program is stopped`(held: Grants)
        async throws
    {
        let path = "/stopped-\(held)"
        let process = try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: held.words + [
                path, "--session-timeout", "2", "--grace", "600", "--connect", connection, "--", "/bin/sh", "-c",
                "trap 'echo told' TERM; echo $$; \(Self.loop)",
            ])
        let id = try #require(Int32(try await process.line { Int32($0) != nil }))
        try process.pause()
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await held.next(client, path) { #expect(state(of: id) == nil) }
        }
        // It was asked to end before it was killed.
        try await process.line { $0 == "told" }
        try process.resume()
        #expect(try await process.waitForExit() == .exited(122))
    }

    @Test func `a command that winds down keeps its lock for longer than the session timeout`() async throws {
        let process = try lock(
            "/wind-down", "--session-timeout", "1.5", "--grace", "600",
            script: "trap 'sleep 4; echo told; exit 3' TERM; echo open; \(Self.loop)")
        try await process.line { $0 == "open" }
        let next = try lock("/wind-down", script: "echo next")
        try process.terminate()
        // It was not killed at its deadline: the lock was kept for it.
        try await process.line { $0 == "told" }
        #expect(try await process.waitForExit() == .exited(3))
        #expect(try await next.output() == ["next"])
    }

    // MARK: Signals

    @Test(arguments: [SIGHUP, SIGINT, SIGQUIT, SIGTERM])
    func `a signal ends the command before the mutex is released`(_ signal: Int32) async throws {
        let process = try lock("/signal", script: "trap 'sleep 0.3; echo told; exit 3' TERM; echo open; \(Self.loop)")
        let next = try lock("/signal", script: "echo next")
        try await process.line { $0 == "open" }
        // Supervisors send it more than once.
        for _ in 0..<2 { #expect(kill(process.id, signal) == 0) }
        try await process.line { $0 == "told" }
        #expect(try await process.waitForExit() == .exited(3))
        #expect(try await next.output() == ["next"])
        try await withHolder(of: "/signal") {
            let waiting = try lock("/signal", script: "echo ran")
            try await $0.waitForQueue(2)
            #expect(kill(waiting.id, signal) == 0)
            #expect(try await waiting.waitForExit() == .exited(128 + signal))
        }
    }

    @Test func `SIGHUP that was ignored at the start has no effect`() async throws {
        let process = try shell(
            """
            trap '' HUP
            exec "$0" lock /nohup -- sh -c 'trap "exit 3" TERM; n=0; while :; do echo $((n=n+1)); sleep 0.02; done'
            """)
        let count = try #require(Int(try await process.line { Int($0) != nil }))
        #expect(kill(process.id, SIGHUP) == 0)
        try await process.line { Int($0) ?? 0 > count + 20 }
        try process.terminate()
        #expect(try await process.waitForExit() == .exited(3))
    }

    @Test func `a second signal after a while ends the grace`() async throws {
        let process = try lock("/twice", "--grace", "3600", script: "trap 'echo told' TERM; echo open; \(Self.loop)")
        try await process.line { $0 == "open" }
        try process.terminate()
        try await process.line { $0 == "told" }
        while process.exitStatus == nil {
            try? process.terminate()
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try await process.waitForExit() == .exited(137))
    }

    @Test func `a terminal's stop signal stops the command as well, until the program is continued`() async throws {
        let process = try lock("/stop", script: "echo $$; exec sleep 600")
        let id = try #require(Int32(try await process.line { Int32($0) != nil }))
        #expect(kill(process.id, SIGTSTP) == 0)
        try await wait { state(of: process.id) == "T" && state(of: id) == "T" }
        try process.resume()
        try await wait { state(of: id) != "T" }
        try process.terminate()
        #expect(try await process.waitForExit() == .exited(143))
    }

    @Test func `signals that a parent ignores or blocks do not keep the command from ending`() async throws {
        for options in ["--ignore-signal=CHLD,TERM", "--block-signal", "--default-signal"] {
            let process = try shell(
                """
                exec env \(options) "$0" lock /mask -- sh -c '
                    trap "exit 3" TERM; sleep 0.02; echo open; \(Self.loop)'
                """)
            try await process.line { $0 == "open" }
            try process.terminate()
            #expect(try await process.waitForExit() == .exited(3))
        }
    }

    @Test func `the command leads a session of its own, which has no terminal`() async throws {
        let process = try lock(
            "/session", script: "cut -d ' ' -f 6,7 /proc/$$/stat | sed s/^$$/own/; </dev/tty || echo none")
        #expect(try await process.output() == ["own 0", "none"])
    }

    // MARK: Descriptors

    @Test func `the command has no descriptor of the program, and all that the program was given`() async throws {
        let list = "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0"
        let process = try shell("exec \"$0\" lock /descriptors -- sh -c \"\(list)\"")
        // The last one is the listed folder, the one before it the validity.
        #expect(try await process.output() == ["0 1 2 3 4 /dev/null"])
        let given = try shell(
            "exec 7</etc/passwd; echo hello | \"$0\" lock /given -- sh -c 'cat; readlink /proc/self/fd/7'")
        #expect(try await given.output() == ["hello", "/etc/passwd"])
        let closed = try shell(
            """
            exec "$0" lock /closed -- sh -c 'for n in 0 1 2; do a=$(readlink /proc/$$/fd/$n); echo $a >&9; done' \
                9>&1 <&- >&- 2>&-
            """)
        #expect(try await closed.output() == ["/dev/null", "/dev/null", "/dev/null"])
    }

    @Test func `output that cannot be written is a failure, unless its reader has gone`() async throws {
        for arguments in ["schedule next '0 2 * * *'", "--help", "lock --help", "exclusive status /none"] {
            let full = try shell("exec \"$0\" \(arguments) >/dev/full")
            #expect(try await full.waitForExit() == .exited(1))
        }
        let gone = try shell(
            """
            exec 9>&1
            { "$0" schedule next '* * * * *' --count 20 2>&9; echo "status $?" >&9; } | head -1 >/dev/null
            """)
        #expect(try await gone.output() == ["status 0"])
    }

    // MARK: The command line

    @Test func `the program ends with the status of a shell`() async throws {
        let statuses: [(String, Int32)] = [
            ("no-such-command", 127), ("/etc/passwd", 126), ("/tmp", 126), ("sh -c 'kill -9 $$'", 137), ("false", 1),
            ("true", 0), ("''", 64), ("", 64),
        ]
        for (command, status) in statuses {
            let process = try shell("exec \"$0\" lock /statuses -- \(command)")
            #expect(try await process.waitForExit() == .exited(status), "\(command)")
        }
    }

    @Test func `the command's words are its own, byte for byte`() async throws {
        let dashes = try shell("exec \"$0\" lock /words -- printf '%s\\n' --wait -- -x ''")
        #expect(try await dashes.output() == ["--wait", "--", "-x", ""])
        let bytes = try shell("\"$0\" lock /words -- printf %s \"$(printf '\\351')\" | od -An -tx1")
        #expect(try await bytes.output() == [" e9"])
        let long = try shell(
            """
            a=$(head -c 120000 /dev/zero | tr '\\0' a)
            "$0" lock /words -- sh -c 'printf %s "$@" | wc -c' sh $a $a $a
            """)
        #expect(try await long.output() == ["360000"])
    }

    @Test func `a removed working directory and an empty environment are no obstacle`() async throws {
        let removed = try shell("d=$(mktemp -d); cd $d; rmdir $d; exec \"$0\" lock /removed -- /bin/echo ran")
        #expect(try await removed.output() == ["ran"])
        let empty = try shell("exec env -i ZOOKEEPER_CONNECT=$ZOOKEEPER_CONNECT \"$0\" lock /removed -- echo ran")
        #expect(try await empty.output() == ["ran"])
    }

    @Test func `what the command leaves behind does not hold up the program`() async throws {
        let process = try lock("/behind", script: "sleep 600 & echo $!; exit 4")
        let id = try #require(Int32(try await process.line { Int32($0) != nil }))
        #expect(try await process.waitForExit() == .exited(4))
        #expect(kill(id, SIGKILL) == 0)
    }

    // MARK: Helpers

    private struct Holder {
        let mutex: DistributedMutex

        func waitForQueue(_ count: Int) async throws {
            while try await mutex.queue().count < count { try await Task.sleep(for: .milliseconds(5)) }
        }
    }

    private func withHolder(
        of path: String, _ body: @escaping @Sendable (Holder) async throws -> Void
    ) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let holder = Holder(mutex: try DistributedMutex(client: client, path: path))
            try await holder.mutex.withLock { _ in try await body(holder) }
        }
    }
}
