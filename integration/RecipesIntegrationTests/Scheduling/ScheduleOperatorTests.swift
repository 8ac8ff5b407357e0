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
            #expect(try await wanted("resume") == ["the schedule is not paused"])
            let pause = "paused by bob: until noon, \\ or so"
            #expect(try await wanted("pause", "--reason", "until noon, \\ or so") == [pause])
            let now = "run now, requested by bob"
            #expect(try await wanted("now") == [pause, now])
            let skip = "skip next, requested by bob"
            #expect(try await wanted("skip") == [pause, now, skip])
            let (from, through) = ("2019-03-07T12:00:00Z", "2025-03-08T14:00:00+02:00")
            let range = "backfill from \(from) through 2025-03-08T12:00:00Z, requested by bob"
            let count =
                "2 periods, from 2020-02-29T00:00 through 2024-02-29T00:00; those that are completed are not run again"
            #expect(
                try await wanted("backfill", "--from", from, "--through", through) == [count, pause, now, skip, range])
            let second = "1 run is requested already, by bob: with this one, there are 2"
            #expect(try await wanted("now") == [second, pause, now, now, skip, range])
            let replaced = "a pause of bob is pending already: until noon, \\ or so; this one replaces it"
            #expect(try await wanted("pause", "--reason", "x").first == replaced)
            #expect(try await wanted("resume").first == now)
            let wishes = try await scene.control().commands()
            #expect(wishes.pause == nil && wishes.runRequests == ["bob", "bob"] && wishes.skipRequests == ["bob"])
            #expect(wishes.backfill?.requestedBy == "bob")
        }
    }

    @Test func `a second skip says that one is pending, and by whom`() async throws {
        try await ScheduleScene.with { scene in
            try await leaveTask(scene)
            _ = try await wanted("skip")
            let effect =
                "1 skip is pending already, requested by bob: with this one, the next 2 periods are skipped"
            let skip = "skip next, requested by bob"
            #expect(
                try await wanted("skip", "--dry-run")
                    == ["would skip the next period of \(ScheduleScene.path)", effect, skip])
            #expect(try await wanted("skip") == [effect, skip, skip])
        }
    }

    @Test func `a pending backfill is replaced only on request`() async throws {
        try await ScheduleScene.with { scene in
            try await leaveTask(scene)
            let range = ["--from", "2015-01-01T00:00:00Z", "--through", "2021-01-01T00:00:00Z"]
            let first = try await say(["backfill", ScheduleScene.path, "--id", "ada"] + range)
            #expect(first.status == .exited(0), "\(first)")
            let pending = try await scene.control().commands()
            let other = ["--from", "2011-01-01T00:00:00Z", "--through", "2013-01-01T00:00:00Z"]
            for dry in [["--dry-run"], []] {
                let said = try await say(["backfill", ScheduleScene.path, "--id", "bob"] + other + dry)
                #expect(said.status == .exited(1), "\(said)")
                for part in [
                    "a backfill of ada is pending", "from 2015-01-01T00:00:00Z through 2021-01-01T00:00:00Z",
                    "2 periods are left", "--replace", "schedule withdraw \(ScheduleScene.path) backfill",
                ] {
                    #expect(said.text.contains(part), "\(said)")
                }
                #expect(try await scene.control().commands() == pending)
            }
            let control = try scene.control()
            let error = await #expect(throws: RecipeError.self) {
                try await control.backfill(
                    from: Timestamp(scheduleText: other[1]), through: Timestamp(scheduleText: other[3]))
            }
            #expect(error?.code == .notAvailable && error?.participants == ["ada"])
            let replaced = try await say(["backfill", ScheduleScene.path, "--id", "bob", "--replace"] + other)
            #expect(replaced.status == .exited(0), "\(replaced)")
            #expect(replaced.lines.first?.hasPrefix("1 period: 2012-02-29T00:00;") == true, "\(replaced)")
            #expect(replaced.text.contains("2 periods are left; this one replaces it"), "\(replaced)")
            #expect(try await control.commands().backfill?.requestedBy == "bob")
        }
    }

    @Test func `a range with too many periods or none is refused, and nothing is written`() async throws {
        try await ScheduleScene.with { scene in
            try await leaveTask(scene)
            func backfill(_ options: String...) async throws -> Said {
                try await say(["backfill", ScheduleScene.path] + options)
            }
            let everything = ["--from", "0001-01-01T00:00:00Z", "--through", "9999-12-31T00:00:00Z"]
            for dry in [["--dry-run"], []] {
                let said = try await say(["backfill", ScheduleScene.path] + everything + dry)
                #expect(said.status == .exited(64) && said.text.contains("more than 366 periods"), "\(said)")
                #expect(said.text.contains("--max-periods"), "\(said)")
            }
            let few = try await say(["backfill", ScheduleScene.path, "--max-periods", "600", "--dry-run"] + everything)
            #expect(few.status == .exited(0) && few.text.contains(" periods, from 0004-02-29T00:00 through"), "\(few)")
            for (from, through) in [("2025-01-01", "2025-12-31"), ("9000-01-01", "9999-12-31")] {
                let said = try await backfill("--from", "\(from)T00:00:00Z", "--through", "\(through)T00:00:00Z")
                #expect(said.status == .exited(64) && said.text.contains("no period from \(from)"), "\(said)")
            }
            #expect(try await scene.control().commands() == OperatorCommands())
        }
    }

    @Test func `pending commands are withdrawn, and what is not pending fails`() async throws {
        try await ScheduleScene.with { scene in
            try await leaveTask(scene)
            let nothing = try await say(["withdraw", ScheduleScene.path])
            #expect(nothing.status == .exited(1) && nothing.text.contains("nothing was withdrawn"), "\(nothing)")
            _ = try await wanted("pause", "--reason", "noon")
            for command in ["now", "skip", "now"] { _ = try await wanted(command) }
            _ = try await wanted("backfill", "--from", "2015-01-01T00:00:00Z", "--through", "2021-01-01T00:00:00Z")
            let pending = try await scene.control().commands()
            let range = "backfill from 2015-01-01T00:00:00Z through 2021-01-01T00:00:00Z, requested by bob"
            let dry = try await wanted("withdraw", "backfill", "--dry-run")
            #expect(dry.first == "would withdraw from \(ScheduleScene.path): \(range)", "\(dry)")
            #expect(try await scene.control().commands() == pending)
            let (pause, now, skip) = ("paused by bob: noon", "run now, requested by bob", "skip next, requested by bob")
            #expect(try await wanted("withdraw", "backfill") == ["withdrawn: \(range)", pause, now, now, skip])
            let again = try await say(["withdraw", ScheduleScene.path, "backfill"])
            #expect(again.status == .exited(1) && again.text.contains("no backfill is pending"), "\(again)")
            #expect(try await wanted("withdraw", "now") == ["withdrawn: \(now)", "withdrawn: \(now)", pause, skip])
            #expect(try await wanted("withdraw") == ["withdrawn: \(skip)", pause])
        }
    }

    @Test func `a command is either withdrawn or carried out`() async throws {
        try await ScheduleScene.with { scene in
            let one = try node("one", Self.rarely, script: "true")
            try await one.line { $0.hasPrefix("waiting for ") }
            let control = try scene.control()
            var withdrawn = 0
            for _ in 0..<20 {
                try await control.runNow()
                withdrawn += try await control.withdraw([.now]).runRequests.count
            }
            let carriedOut = 20 - withdrawn
            let runs = try await scene.runs { $0.count { $0.kind == .requested && !$0.state.isOpen } >= carriedOut }
            #expect(runs.count { $0.kind == .requested } == carriedOut)
            #expect(try await control.commands() == OperatorCommands())
            try await end(one)
        }
    }

    @Test func `a request for a run that a node takes at once is reported with the run`() async throws {
        try await ScheduleScene.with { scene in
            let one = try node("one", Self.rarely, script: "exec sleep 600")
            try await one.line { $0.hasPrefix("waiting for ") }
            let control = try scene.control()
            let request = try await control.runNow()
            let run = try await scene.run { $0.state == .started }
            #expect(try #require(run.token).rawValue > request.rawValue)
            // The run in progress keeps the second request pending; the first one is not mistaken for it.
            #expect(try await wanted("now") == ["run now, requested by bob"])
            try await end(one)
        }
        try await ScheduleScene.with { scene in
            let one = try node("one", Self.rarely, script: "true")
            try await one.line { $0.hasPrefix("waiting for ") }
            let lines = try await wanted("now")
            let run = try await scene.run { $0.kind == .requested }
            #expect(
                lines == ["run now, requested by bob"] || lines == ["one has started the run \(run.period)"]
                    || lines == ["one has completed the run \(run.period)"], "\(lines)")
            try await end(one)
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
        ["pause", "--reason", "x"], ["resume"], ["now"], ["skip"], ["history"], ["withdraw"], ["withdraw", "skip"],
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
        (["pause", "/app"], ["--reason"]), (["withdraw", "/app", "pause"], ["pause", "now, skip, backfill"]),
        (["backfill", "/app", "--max-periods", "0"], ["--max-periods", "from 1"]),
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
