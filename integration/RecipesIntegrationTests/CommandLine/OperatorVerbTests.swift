import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The commands with which operators change what other processes do.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct OperatorVerbTests {
    private var connection: String { TestServer.current.connectionString }

    private func run(_ arguments: String...) async throws -> ProgramRun {
        try await ProgramRun(arguments, connect: connection)
    }

    /// Runs a command twice: as a dry run, which changes nothing below a path, and in earnest.
    private func runTwice(_ arguments: [String], below path: String) async throws -> (dry: ProgramRun, real: ProgramRun)
    {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let before = try await client.exists(at: path)?.pzxid
            let split = arguments.firstIndex(of: "--") ?? arguments.endIndex
            let dry = try await ProgramRun(
                Array(arguments[..<split] + ["--dry-run"] + arguments[split...]), connect: connection)
            #expect(dry.status == .exited(0) && dry.lines.first?.hasPrefix("would ") == true, "\(dry)")
            #expect(try await client.exists(at: path)?.pzxid == before)
            return (dry, try await ProgramRun(arguments, connect: connection))
        }
    }

    private func awaitExistence(of path: String, _ client: ZooKeeperClient) async throws {
        while true {
            let (stat, watch) = try await client.watchExistence(at: path)
            if stat != nil { return watch.cancel() }
            _ = try await watch.event()
        }
    }

    private func start(_ arguments: String...) throws -> TestProcess {
        try ProgramRun.start(arguments, connect: connection)
    }

    private func end(_ processes: TestProcess...) async throws {
        for process in processes {
            try process.terminate()
            try await process.waitForExit()
        }
    }

    @Test func `a leader resigns, and transfers to the one that is named`() async throws {
        let one = try start("lead", "/l", "--id", "one", "--", "/bin/sh", "-c", "echo begun $ZK_TERM; sleep 600")
        try await one.line { $0 == "begun 1" }
        let two = try start("leader", "run", "/l", "--id", "two")
        try await two.line { $0.hasPrefix("waiting") && $0.contains("1") }
        let three = try start("leader", "run", "/l", "--id", "three")
        try await three.line { $0.hasPrefix("waiting") && $0.contains("2") }
        let (dry, transferred) = try await runTwice(
            ["leader", "transfer", "/l", "--to", "three", "--reason", "a test"], below: "/l")
        #expect(dry.lines.count == 2, "\(dry)")
        #expect(transferred.status == .exited(0) && transferred.lines == ["three leads"], "\(transferred)")
        let resigned = try await run("leader", "resign", "/l", "--id", "ada")
        #expect(resigned.status == .exited(0) && resigned.lines == ["two leads"], "\(resigned)")
        let other = try await run("leader", "resign", "/l", "--leader", "three")
        #expect(other.status == .exited(64) && other.errors.first?.contains("which two leads") == true, "\(other)")
        let already = try await run("leader", "transfer", "/l", "--to", "two", "--leader", "two")
        #expect(already.errors.first?.contains("it already leads /l;") == true, "\(already)")
        let unknown = try await run("leader", "transfer", "/l", "--to", "nobody")
        #expect(unknown.status == .exited(64) && unknown.errors.first?.contains("nobody") == true, "\(unknown)")
        let empty = try await run("leader", "resign", "/nobody")
        #expect(empty.status == .exited(1), "\(empty)")
        try await end(one, two, three)
    }

    @Test func `a leader that does not react is told after the timeout`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await client.create(
                "/jvm/_c_00000000-0000-4000-8000-000000000000-lock-", data: Array("jvm".utf8),
                mode: .ephemeralSequential, parents: true)
            // No participant of this package has ever led, so that nobody can read a request.
            let alone = try await run("leader", "resign", "/jvm")
            #expect(alone.status == .exited(64) && alone.errors.first?.contains("other libraries") == true, "\(alone)")
            try await client.create("/jvm-epoch")
            let said = try await run("leader", "resign", "/jvm", "--timeout", "500ms")
            #expect(said.status == .exited(1), "\(said)")
            #expect(said.errors.count == 1 && said.errors[0].contains("jvm has not read the request"), "\(said)")
        }
    }

    @Test func `a holder reports a release request, and one that does not release is told`() async throws {
        let holder = try start(
            "lock", "/k", "--", "/bin/sh", "-c", "echo begun; sleep 600")
        try await holder.line { $0 == "begun" }
        let said = try await run(
            "lock", "release-request", "/k", "--timeout", "500ms", "--id", "ada", "--reason", "noon")
        #expect(said.status == .exited(1) && said.errors.first?.contains("has read the request") == true, "\(said)")
        try await holder.line { $0.contains("ada requests the release of /k: noon") }
        try await end(holder)
        let empty = try await run("lock", "release-request", "/k")
        #expect(empty.status == .exited(1), "\(empty)")
    }

    @Test func `a lock is released on request`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let mutex = try DistributedMutex(client: client, path: "/released", id: "near")
            let lease = try await mutex.acquire()
            let asked = Task { () -> ReleaseOutcome? in
                for await _ in lease.releaseRequests { return await lease.release() }
                return nil
            }
            let (_, said) = try await runTwice(["lock", "release-request", "/released"], below: "/released")
            #expect(said.status == .exited(0), "\(said)")
            #expect(said.lines.count == 1 && said.lines[0].hasPrefix("near ("), "\(said)")
            #expect(await asked.value == .deleted)
        }
    }

    @Test func `a frozen holder is evicted, and the lock passes on after its session timeout`() async throws {
        let frozen = try start(
            "lock", "/f", "--id", "frozen", "--session-timeout", "10s", "--", "/bin/sh", "-c", "echo begun; sleep 600")
        try await frozen.line { $0 == "begun" }
        try frozen.pause()
        let next = try start("lock", "/f", "--", "/bin/sh", "-c", "echo begun")
        let refused = try await run("lock", "evict", "/f", "--holder", "nobody", "--yes")
        #expect(refused.status == .exited(64) && refused.errors.first?.contains("frozen") == true, "\(refused)")
        let begin = ContinuousClock.now
        let (dry, said) = try await runTwice(
            ["lock", "evict", "/f", "--holder-session-timeout", "10s", "--reason", "a test", "--yes"], below: "/f")
        #expect(dry.lines.contains { $0.contains("10 s later") }, "\(dry)")
        #expect(said.status == .exited(0) && said.lines.first?.hasSuffix("is evicted") == true, "\(said)")
        #expect(ContinuousClock.now - begin >= .seconds(10))
        try await next.line { $0 == "begun" }
        #expect(try await next.waitForExit() == .exited(0))
        try frozen.resume()
        #expect(try await frozen.waitForExit() == .exited(122))
    }

    @Test func `an ID that two participants have is reported, and is no target of a transfer`() async throws {
        let one = try start("leader", "run", "/shared", "--id", "web")
        try await one.line { $0.hasPrefix("leading") }
        let two = try start("lead", "/shared", "--id", "web", "--", "sleep", "600")
        try await two.line { $0.contains("Another participant has the same ID") }
        let dry = try await run("leader", "resign", "/shared", "--dry-run")
        #expect(dry.lines.last == "2 participants have the ID web: give each its own.", "\(dry)")
        let refused = try await run("leader", "transfer", "/shared", "--to", "web")
        #expect(refused.status == .exited(64), "\(refused)")
        #expect(refused.errors.first?.contains("2 participants of /shared have this ID") == true, "\(refused)")
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let all = try await LeaderSelector.participants(client: client, path: "/shared")
            let named = try await run("leader", "transfer", "/shared", "--to", all[1].znode, "--dry-run")
            #expect(named.status == .exited(0) && named.lines.first?.contains(all[1].znode) == true, "\(named)")
        }
        try await end(one, two)
    }

    @Test func `an eviction in progress is shown, refuses a second one, and fails if its placeholder is deleted`()
        async throws
    {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let mutex = try DistributedMutex(client: client, path: "/evicted", id: "near")
            let lease = try await mutex.acquire()
            let evicting = try start(
                "lock", "evict", "/evicted", "--id", "alice", "--holder-session-timeout", "30s", "--reason", "a test",
                "--yes")
            _ = try await lease.waitUntilLost()
            let status = try await run("status", "/evicted")
            #expect(status.lines.first?.contains("blocked by an eviction by alice") == true, "\(status)")
            #expect(status.lines.contains { $0.contains("alice is evicting near (a test); about") }, "\(status)")
            let arguments = ["lock", "evict", "/evicted", "--holder-session-timeout", "100ms"]
            for more in [["--yes"], ["--dry-run"], ["--yes", "--holder", "near"]] {
                let second = try await ProgramRun(arguments + more, connect: connection)
                #expect(second.status == .exited(1) && second.lines.isEmpty, "\(second)")
                #expect(second.errors.first?.contains("alice is evicting near") == true, "\(second)")
            }
            let names = try await client.children(of: "/evicted").names
            try await client.delete("/evicted/\(try #require(names.first))")
            try await evicting.line { $0.contains("the wait was cut short, because another process has deleted") }
            #expect(try await evicting.waitForExit() == .exited(1))
            await lease.release()
        }
    }

    @Test func `a killed operator leaves the place taken for a session timeout`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let mutex = try DistributedMutex(client: client, path: "/killed", id: "near")
            let lease = try await mutex.acquire()
            let killed = try start("lock", "evict", "/killed", "--holder-session-timeout", "2s", "--yes")
            _ = try await lease.waitUntilLost()
            let lost = ContinuousClock.now
            await killed.kill()
            let next = try await mutex.acquire()
            #expect(ContinuousClock.now - lost >= .milliseconds(1500))
            await next.release()
            await lease.release()
        }
    }

    @Test func `an eviction that is interrupted before its transaction ends, and changes nothing`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let mutex = try DistributedMutex(client: client, path: "/interrupted", id: "near")
            let lease = try await mutex.acquire()
            let before = try await client.children(of: "/interrupted").names
            let proxy = try FaultProxy(to: TestServer.current)
            // The first transaction is a barrier.
            await proxy.holdFromNextRequest { $0.operation == .multi }
            let evicting = try ProgramRun.start(
                ["lock", "evict", "/interrupted", "--yes"], connect: proxy.connectionString)
            try await proxy.nextRequest { $0.operation == .multi }
            let signalled = ContinuousClock.now
            try evicting.terminate()
            #expect(try await evicting.waitForExit() == .exited(1))
            #expect(ContinuousClock.now - signalled < .seconds(10))
            var lines: [String] = []
            for try await line in evicting.lines { lines.append(line) }
            #expect(lines.contains { $0.contains("interrupted: nothing was changed") }, "\(lines)")
            #expect(!lines.contains { $0.contains("the wait continues") }, "\(lines)")
            await proxy.close()
            #expect(try await client.children(of: "/interrupted").names == before)
            #expect(lease.isValid)
            await lease.release()
        }
    }

    @Test func `an eviction without a terminal needs the option, and other recipes are refused`() async throws {
        let missing = try await run("lock", "evict", "/f")
        #expect(missing.status == .exited(64) && missing.errors.first?.contains("--yes") == true, "\(missing)")
        let window = try await run("exclusive", "evict", "/b", "one")
        #expect(window.status == .exited(64) && window.errors.first?.contains("--yes") == true, "\(window)")
        let leader = try start("leader", "run", "/elected", "--id", "one")
        try await leader.line { $0.hasPrefix("leading") }
        let elected = try await run("lock", "evict", "/elected", "--yes")
        #expect(elected.status == .exited(64) && elected.errors.first?.contains("leader resign") == true, "\(elected)")
        try await end(leader)
    }

    @Test func `a processor is evicted from the window that waits for it`() async throws {
        let stubborn = try start(
            "exclusive", "gate", "/w", "--id", "stubborn", "--session-timeout", "6s", "--grace", "1h", "--", "/bin/sh",
            "-c", "trap '' TERM; echo begun; while :; do sleep 0.02; done")
        try await stubborn.line { $0 == "begun" }
        let early = try await run("exclusive", "evict", "/w", "stubborn", "--yes")
        #expect(early.status == .exited(1), "\(early)")
        let window = try start("exclusive", "run", "/w", "--", "/bin/sh", "-c", "echo opened")
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await awaitExistence(of: "/w/signal", client)
            let (_, said) = try await runTwice(
                ["exclusive", "evict", "/w", "stubborn", "--reason", "a test", "--yes"], below: "/w/locks")
            #expect(said.status == .exited(0) && said.lines.first?.hasPrefix("stubborn is evicted") == true, "\(said)")
        }
        try await window.line { $0 == "opened" }
        #expect(try await window.waitForExit() == .exited(0))
        await stubborn.kill()
    }

    @Test func `commands for schedules and partitions have a dry run, and record the reason`() async throws {
        let task = try start("schedule", "run", "/t", "--id", "one", "--every", "1d", "--", "true")
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await awaitExistence(of: "/t/control", client)
            let (dry, said) = try await runTwice(
                ["schedule", "skip", "/t", "--id", "ada", "--reason", "a holiday"], below: "/t/control")
            #expect(dry.lines.last == "no operator commands are pending", "\(dry)")
            #expect(said.lines == ["skip next, requested by ada: a holiday"], "\(said)")
            let pause = try await run("schedule", "pause", "/t")
            #expect(pause.status == .exited(64) && pause.errors.first?.contains("--reason") == true, "\(pause)")

            let member = Array("weight=1.0\ncordoned=no\n".utf8)
            try await client.create("/g/members/web1", data: member, parents: true)
            let (_, cordon) = try await runTwice(["partitions", "cordon", "/g", "web1"], below: "/g")
            #expect(cordon.lines == ["web1 is cordoned"], "\(cordon)")
        }
        try await end(task)
    }

    // MARK: The wrong kind of path

    /// Creates one znode of each kind that an operator could name by mistake.
    ///
    /// - Returns: The paths by kind.
    private func createKinds(below root: String, _ client: ZooKeeperClient) async throws -> [String: String] {
        let uuid = "00000000-0000-4000-8000-000000000000"
        for child in [
            "mutex/_c_\(uuid)-lock-0000000000", "semaphore/locks", "semaphore/leases/_c_\(uuid)-lease-0000000000",
            "election/_c_\(uuid)-lock-0000000000", "election-epoch",
            "latch/_c_\(uuid)-latch-0000000000", "rw/_c_\(uuid)-__WRIT__0000000000", "base/locks", "base/members/p1",
            "base/windows", "task/runs", "task/control", "task/leader", "task/clock", "group/partitions",
            "group/members", "parent/one", "parent/two", "parent/members/x", "member/members/x", "barrier/ready",
            "control/control", "cordons/cordons/web-1", "cordons/other", "empty",
        ] {
            try await client.create("\(root)/\(child)", data: Array("data=1".utf8), parents: true)
        }
        let kinds = [
            "mutex", "semaphore", "election", "latch", "rw", "base", "task", "group", "parent", "member", "barrier",
            "control", "cordons", "empty",
        ]
        return Dictionary(uniqueKeysWithValues: kinds.map { ($0, "\(root)/\($0)") })
    }

    /// The znodes below a path, with the transaction that changed them last.
    private func tree(_ path: String, _ client: ZooKeeperClient) async throws -> [String: [ZXID]] {
        let (names, stat) = try await client.children(of: path)
        var found = [path: [stat.mzxid, stat.pzxid]]
        for name in names { try await found.merge(tree("\(path)/\(name)", client)) { first, _ in first } }
        return found
    }

    /// The verbs, and the kinds for which they are meant.
    static let verbs: [(words: [String], arguments: [String], kinds: Set<String>)] = [
        (["partitions", "cordon"], ["web-1"], ["group"]), (["partitions", "uncordon"], ["web-1"], ["group"]),
        (["schedule", "pause"], ["--reason", "x"], ["task"]), (["schedule", "resume"], [], ["task"]),
        (["schedule", "now"], [], ["task"]), (["schedule", "skip"], [], ["task"]),
        (["schedule", "withdraw"], [], ["task"]),
        (["schedule", "answer"], ["--period", "2026-03-07", "--decision", "skip"], ["task"]),
        (
            ["schedule", "backfill"], ["--from", "2026-03-01T00:00:00Z", "--through", "2026-03-02T00:00:00Z"], ["task"]
        ),
        (["leader", "resign"], ["--timeout", "100ms"], ["election", "latch"]),
        (["leader", "transfer"], ["--to", "x", "--timeout", "100ms"], ["election", "latch"]),
        (["lock", "release-request"], ["--timeout", "100ms"], ["mutex", "rw", "semaphore"]),
        (["lock", "evict"], ["--yes", "--holder-session-timeout", "1s"], ["mutex", "rw", "semaphore"]),
        (["exclusive", "evict"], ["p1", "--yes", "--timeout", "100ms"], ["base"]),
    ]

    @Test(arguments: verbs)
    func `a command for operators writes nothing at a path of another kind`(
        _ words: [String], _ arguments: [String], _ meant: Set<String>
    ) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let root = "/kinds-" + words.joined(separator: "-")
            let kinds = try await createKinds(below: root, client)
            let before = try await tree(root, client)
            for (kind, path) in kinds.sorted(by: { $0.key < $1.key }) where !meant.contains(kind) {
                // A cordon was once written by both; the others have one check for both.
                for dry in words[0] == "partitions" ? [["--dry-run"], []] : [[]] {
                    let said = try await ProgramRun(words + [path] + arguments + dry, connect: connection)
                    #expect([.exited(1), .exited(64)].contains(said.status), "\(kind): \(said)")
                    #expect(said.errors.count >= 1 && said.lines.isEmpty, "\(kind): \(said)")
                    #expect(try await tree(root, client) == before, "\(kind): \(said)")
                    guard words[0] == "partitions" else { continue }
                    #expect(said.status == .exited(1), "\(said)")
                    #expect(said.errors[0].contains("there is no partition group at \(path)"), "\(said)")
                }
            }
        }
    }

    @Test func `a cordon that is left without nodes can be removed`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            try await client.create("/left/cordons/web1", parents: true)
            let said = try await run("partitions", "uncordon", "/left", "web1")
            #expect(said.lines == ["web1 is uncordoned; it is not in the group now"], "\(said)")
            try await client.create("/ended/partitions/a", parents: true)
            try await client.create("/ended/partitions/a-epoch", parents: true)
            let cordon = try await run("partitions", "cordon", "/ended", "web1")
            #expect(cordon.lines == ["web1 is cordoned; it is not in the group now"], "\(cordon)")
        }
    }
}
