import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What operators type, against a real server.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct ScheduleOperatorTests {
    private static let rarely = ["--cron", "0 0 29 2 *"]

    /// What a program has said, errors and all, and how it has ended.
    private struct Said: CustomStringConvertible {
        var lines: [String]
        var status: ZooKeeperTestKit.ExitStatus

        var text: String { lines.joined(separator: "\n") }
        var description: String { "\(status): \(text)" }
    }

    /// Runs `zkrecipes schedule` to its end.
    private func say(_ words: [String], connect: String? = nil) async throws -> Said {
        let connection = (connect ?? TestServer.currentServer?.connectionString).map { ["--connect", $0] } ?? []
        // In front of what stands behind a double hyphen, which is another program's.
        let arguments = words.prefix { $0 != "--" } + connection + words.drop { $0 != "--" }
        let program = try TestProcess(
            "/bin/sh",
            arguments: ["-c", "exec \"$0\" schedule \"$@\" 2>&1", TestProcess.path(ofProduct: "zkrecipes")] + arguments)
        return Said(lines: try await program.output(), status: try await program.waitForExit())
    }

    /// What is wanted, as an operator is told after a command.
    private func wanted(_ command: String, _ options: String...) async throws -> [String] {
        let said = try await say([command, ScheduleScene.path, "--id", "bob"] + options)
        #expect(said.status == .exited(0), "\(said)")
        return said.lines
    }

    private func node(_ name: String, _ options: [String], script: String) throws -> TestProcess {
        let arguments = ["schedule", "run", ScheduleScene.path, "--id", name, "--session-timeout", "2"]
        let connection = ["--connect", TestServer.current.connectionString]
        return try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: arguments + connection + options + ["--", "/bin/sh", "-c", script])
    }

    private func end(_ node: TestProcess) async throws {
        try node.terminate()
        #expect(try await node.waitForExit() == .exited(0))
    }

    /// Makes a task that nobody runs any more.
    private func leaveTask(_ scene: ScheduleScene) async throws {
        let node = try scene.near(.never) { _ in }
        await node.leads()
        try await node.stop()
    }

    @Test func `each command tells what is wanted then, and it stays until somebody leads`() async throws {
        try await ScheduleScene.with { scene in
            try await leaveTask(scene)
            #expect(try await wanted("resume") == ["no operator commands are pending"])
            let pause = "paused by bob: until noon, \\ or so"
            #expect(try await wanted("pause", "--reason", "until noon, \\ or so") == [pause])
            #expect(try await wanted("now") == [pause, "run now, requested by bob"])
            let skip = "skip next, requested by bob"
            #expect(try await wanted("skip") == [pause, "run now, requested by bob", skip])
            let (from, through) = ("2026-03-07T12:00:00Z", "2026-03-08T14:00:00+02:00")
            let range = "backfill from \(from) through 2026-03-08T12:00:00Z, requested by bob"
            #expect(
                try await wanted("backfill", "--from", from, "--through", through)
                    == [pause, "run now, requested by bob", skip, range])
            #expect(try await wanted("now").count == 5)
            #expect(try await wanted("resume").first == "run now, requested by bob")
            let wishes = try await scene.control().commands()
            #expect(wishes.pause == nil && wishes.runRequests == ["bob", "bob"] && wishes.skipRequests == ["bob"])
            #expect(wishes.backfill?.requestedBy == "bob")
        }
    }

    @Test func `the node that leads does what operators want`() async throws {
        try await ScheduleScene.with { scene in
            let one = try node("one", Self.rarely, script: "echo ran $ZK_PERIOD $ZK_ATTEMPT $ZK_FENCING_TOKEN")
            try await one.line { $0.hasPrefix("waiting for ") }
            _ = try await wanted("now")
            let now = try await scene.run { $0.kind == .requested && $0.state == .completed }
            #expect(now.note == "requested by bob" && now.participantID == "one")
            try await one.line { $0 == "ran \(now.period) 1 \(now.token?.description ?? "")" }

            _ = try await wanted("backfill", "--from", "2020-01-01T00:00:00Z", "--through", "2024-12-31T00:00:00Z")
            let filled = try await scene.runs { $0.count { $0.kind == .backfill && $0.state == .completed } == 2 }
                .filter { $0.kind == .backfill }
            let leapDays = try [2020, 2024].map {
                try Timestamp(scheduleText: "\($0)-02-29T00:00:00Z")
            }
            #expect(filled.map(\.start) == leapDays)
            for run in filled { try await one.line { $0 == "ran \(run.period) 1 \(run.token?.description ?? "")" } }

            let paused = try await wanted("pause", "--reason", "until noon")
            #expect(paused == ["paused by bob: until noon"])
            try await one.line { $0 == "paused: until noon" }
            #expect(try await wanted("now") == paused + ["run now, requested by bob"])
            _ = try await wanted("resume")
            try await scene.runs { $0.count { $0.kind == .requested && $0.state == .completed } == 2 }

            let history = try await say(["history", ScheduleScene.path])
            #expect(history.status == .exited(0) && history.lines.count == 4, "\(history)")
            for (run, line) in zip(filled + [now], history.lines) {
                let token = try #require(run.token)
                #expect(line.hasPrefix("\(run.period)  completed  one  attempt 1  token \(token)  "))
                #expect(line.hasSuffix(run.note ?? " ms"))
            }
            try await end(one)
        }
    }

    @Test func `the next period is left out when an operator wants that`() async throws {
        try await ScheduleScene.with { scene in
            try await leaveTask(scene)
            #expect(try await wanted("skip") == ["skip next, requested by bob"])
            let one = try node("one", ["--every", "1"], script: "echo ran $ZK_PERIOD")
            let skipped = try await scene.run { $0.message == "bob asked to leave it out" }
            #expect(skipped.state == .skipped)
            let run = try await scene.run { $0.state == .completed }
            #expect(run.start > skipped.start)
            try await one.line { $0 == "ran \(run.period)" }
            try await end(one)
            let history = try await say(["history", ScheduleScene.path])
            let line = "\(skipped.period)  skipped  one  attempt 0  token -  bob asked to leave it out"
            let index = try #require(history.lines.firstIndex(of: line), "\(history)")
            // Before it there is at most what nobody was there for, since the task was made.
            #expect(history.lines[..<index].allSatisfy { $0.contains("  skipped  one  attempt 0  token -  missed") })
        }
    }

    @Test func `an operator answers what becomes of a run whose runner died`() async throws {
        try await ScheduleScene.with { scene in
            let policy = Self.rarely + ["--takeover", "ask-operator"]
            let one = try node("one", policy, script: "echo begun $ZK_ATTEMPT; exec sleep 600")
            try await one.line { $0.hasPrefix("waiting for ") }
            let two = try node("two", policy, script: "echo begun $ZK_ATTEMPT")
            try await two.line { $0 == "standby behind 1" }
            _ = try await wanted("now")
            try await one.line { $0 == "begun 1" }
            let period = try #require(try await scene.history().runs().first).period
            let early = try await say(["answer", ScheduleScene.path, "--period", period, "--decision", "rerun"])
            #expect(early.status == .exited(1) && early.text.contains("\(period) is started"), "\(early)")
            await one.kill()
            try await two.line { $0 == "awaiting an operator's decision about \(period)" }
            let history = try await say(["history", ScheduleScene.path])
            #expect(history.text.hasPrefix("\(period)  awaitingOperator  one  attempt 1  "), "\(history)")
            #expect(history.text.contains("one started the run and did not complete it"), "\(history)")
            _ = try await wanted(
                "answer", "--period", period, "--decision", "rerun", "--reason", "one was replaced")
            try await two.line { $0 == "begun 2" }
            let run = try await scene.run { $0.state == .completed }
            #expect(run.previousAttempts.map(\.participantID) == ["one"] && run.participantID == "two")
            #expect(run.previousAttempts[0].reason.hasSuffix("an operator decided to rerun (bob: one was replaced)"))
            #expect(try await scene.control().commands() == OperatorCommands())
            try await end(two)
        }
    }

    // MARK: Wrong input

    @Test(arguments: [
        ["pause", "--reason", "x"], ["resume"], ["now"], ["skip"], ["history"],
        ["backfill", "--from", "2026-03-07T12:00:00Z", "--through", "2026-03-08T12:00:00Z"],
        ["answer", "--period", "2026-03-08", "--decision", "skip"],
    ])
    func `a path with no task is told`(_ words: [String]) async throws {
        let said = try await say([words[0], "/app/setle"] + words.dropFirst())
        #expect(said.status == .exited(1), "\(said)")
        #expect(said.text.hasPrefix("zkrecipes: there is no scheduled task at /app/setle: "), "\(said)")
    }

    /// Words of a command line, and what the error has to name.
    static let wrong: [(words: [String], names: [String])] = [
        (["pause", "app", "--reason", "x"], ["PATH", "app"]),
        (["pause", "/", "--reason", "x"], ["PATH \"/\" is the root"]),
        (["pause", "/app"], ["--reason"]),
        (["pause", "/app", "--reason", ""], ["--reason is empty"]),
        (["skip", "/app", "/batch"], ["/batch"]),
        (["history", "/app/"], ["PATH", "/app/"]),
        (["backfill", "/app", "--from", "yesterday", "--through", "2026-03-07T12:00:00Z"], ["--from", "yesterday"]),
        (
            ["backfill", "/app", "--from", "2026-03-07T12:00:00Z", "--through", "2026-03-32"],
            ["--through", "2026-03-32"]
        ),
        (
            ["backfill", "/app", "--from", "2026-02-30T00:00:00Z", "--through", "2026-03-07T12:00:00Z"],
            ["--from", "2026-02-30T00:00:00Z", "01 to 28"]
        ),
        (
            ["backfill", "/app", "--from", "2026-03-07T12:00:00Z", "--through", "2026-03-06T12:00:00Z"],
            ["--through is 2026-03-06T12:00:00Z", "2026-03-07T12:00:00Z"]
        ),
        (["answer", "/app", "--period", "x", "--decision", "maybe"], ["--decision", "maybe", "rerun"]),
        (["answer", "/app", "--period", "a/b", "--decision", "skip"], ["--period", "a/b"]),
        (["answer", "/app", "--period", "", "--decision", "skip"], ["--period is empty"]),
        (["run", "/app", "--id", "n", "--", "true"], ["--cron", "--every"]),
        (["run", "/app", "--id", "n", "--every", "1", "--cron", "* * * * *", "--", "true"], ["--cron", "--every"]),
        (["run", "/app", "--id", "n", "--every", "0", "--", "true"], ["--every is 0"]),
        (["run", "/app", "--id", "n", "--every", "1.5", "--", "true"], ["--every", "1.5"]),
        (
            ["run", "/app", "--id", "n", "--every", "9223372036854775807", "--", "true"],
            ["--every is 9223372036854775807", "from 1s to 18250d"]
        ),
        (["run", "/app", "--id", "n", "--cron", "61 * * * *", "--", "true"], ["61"]),
        (["run", "/app", "--id", "n", "--cron", "0 2 * * *", "--tz", "Mars/Base", "--", "true"], ["Mars/Base"]),
        (["run", "/app", "--id", "", "--every", "1", "--", "true"], ["--id", "is empty"]),
        (["run", "/app", "--id", "n", "--every", "1"], ["there is no command"]),
        (["run", "/app", "--id", "n", "--every", "1", "--missed", "all:x", "--", "true"], ["--missed", "all:x"]),
        (["run", "/app", "--id", "n", "--every", "1", "--missed", "all:9", "--", "true"], ["--missed", "all:9"]),
        (
            ["run", "/app", "--id", "n", "--every", "1", "--missed-after", "0", "--", "true"],
            ["--missed-after", "from 1ms"]
        ),
        (
            ["run", "/app", "--id", "n", "--every", "1", "--maximum-clock-skew", "0", "--", "true"],
            ["--maximum-clock-skew", "from 1ms"]
        ),
        (
            ["run", "/app", "--id", "n", "--every", "1", "--maximum-records", "0", "--", "true"],
            ["--maximum-records is 0"]
        ),
        (["run", "/app", "--id", "n", "--every", "1", "--grace", "-1", "--", "true"], ["--grace"]),
        (["run", "/app", "--id", "n", "--every", "1", "--overlap", "both", "--", "true"], ["both", "queue-one"]),
        (
            ["run", "/app", "--id", "n", "--every", "1", "--exclusive", "orders", "--", "true"],
            ["--exclusive", "orders"]
        ),
        (
            [
                "run", "/app", "--id", "n", "--every", "1", "--delivery", "at-most-once", "--takeover", "resume",
                "--", "true",
            ], ["--takeover is resume", "at-most-once"]
        ),
    ]

    @Test(arguments: wrong)
    func `what is wrong with the command line is named, before anything is asked for`(
        _ words: [String], _ names: [String]
    ) async throws {
        // Nothing listens there: it is not asked.
        let said = try await say(words, connect: "127.0.0.1:1")
        #expect(said.status == .exited(64), "\(said)")
        for name in names { #expect(said.text.contains(name), "\(said)") }
    }
}
