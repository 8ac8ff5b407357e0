import Foundation
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `zkrecipes status` on the znodes of this package, of Curator and of kazoo, and on znodes that anyone has written.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct StatusCommandTests {
    private static let uuid = "0b0c2a34-5a4e-4f0e-9a7d-2f1d6c3b8e10"
    private static let hex = "0b0c2a345a4e4f0e9a7d2f1d6c3b8e10"

    private var connection: String { TestServer.current.connectionString }

    private func run(_ arguments: String...) async throws -> ProgramRun {
        try await ProgramRun(["status"] + arguments, connect: connection)
    }

    /// Runs the command with `--json` and returns the object.
    private func object(_ arguments: String...) async throws -> [String: Any] {
        let said = try await ProgramRun(["status"] + arguments + ["--json"], connect: connection)
        #expect(said.status == .exited(0) && said.lines.count == 1, "\(said)")
        let object = try JSONSerialization.jsonObject(with: Data((said.lines.first ?? "").utf8))
        return try #require(object as? [String: Any])
    }

    private func participants(_ object: [String: Any]) -> [[String: Any]] {
        object["participants"] as? [[String: Any]] ?? []
    }

    private func withClient(_ body: (ZooKeeperClient) async throws -> Void) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { try await body($0) }
    }

    private func create(
        _ path: String, _ text: String = "", _ mode: CreateMode = .ephemeral, acl: [ACL]? = nil,
        with client: ZooKeeperClient
    ) async throws {
        if let parent = try ZNodePath(path).parent, parent.string != "/" {
            do { try await client.create(parent.string, parents: true) } catch let error as ZooKeeperError
                where error.code == .nodeExists
            {}
        }
        try await client.create(path, data: Array(text.utf8), mode: mode, acl: acl)
    }

    // MARK: One recipe

    @Test func `a mutex shows its holder, the queue, tokens and sessions`() async throws {
        try await withClient { client in
            let mutex = try DistributedMutex(client: client, path: "/one/mutex", id: "billing 2")
            try await mutex.withLock { lease in
                try await create(
                    "/one/mutex/_c_\(Self.uuid)-lock-0000000007", "10.0.0.7", with: client)
                let said = try await run("/one/mutex")
                #expect(said.status == .exited(0), "\(said)")
                #expect(said.lines[0].hasPrefix("/one/mutex: mutex, held by billing 2 since 2"), "\(said)")
                #expect(said.lines[0].hasSuffix("; 1 waits"), "\(said)")
                let waiter = try #require(said.lines.first { $0.contains("10.0.0.7") })
                #expect(waiter.contains("waits") && waiter.contains("#0 billing 2"), "\(said)")

                let object = try await object("/one/mutex")
                #expect(object["kind"] as? String == "mutex")
                #expect(object["holder"] as? String == "billing 2")
                #expect(object["waiting"] as? Int == 1)
                let holder = try #require(participants(object).first)
                #expect(holder["token"] as? Int64 == lease.fencingToken.rawValue)
                #expect(holder["session"] as? String == client.session?.id.description)
                #expect(holder["state"] as? String == "holds")
            }
        }
    }

    @Test func `a leader election shows the token of the term`() async throws {
        let leader = try ProgramRun.start(["leader", "run", "/one/leader", "--id", "web-1"], connect: connection)
        let line = try await leader.line { $0.hasPrefix("leading") }
        let object = try await object("/one/leader")
        #expect(object["kind"] as? String == "leader-election")
        #expect(object["holder"] as? String == "web-1")
        let token = participants(object).first?["token"] as? Int64
        #expect(line.hasSuffix("with token \(token ?? 0)"), "\(line)")
        try leader.terminate()
        try await leader.waitForExit()
    }

    @Test func `a semaphore shows its leases, its limit and the waiting participants`() async throws {
        try await withClient { client in
            let semaphore = try DistributedSemaphore(client: client, path: "/one/semaphore", limit: 2, id: "a")
            try await semaphore.withLease(count: 2) { _ in
                let (positions, queued) = AsyncStream.makeStream(of: Int.self)
                let waiting = Task { try await semaphore.withLease(onQueued: { queued.yield($0) }) { _ in } }
                for await _ in positions { break }
                let object = try await object("/one/semaphore")
                #expect(object["kind"] as? String == "semaphore")
                #expect(object["holders"] as? Int == 2)
                #expect((object["details"] as? [String: String])?["leases"] == "2 of 2")
                #expect(participants(object).last?["waitsFor"] as? String == "a free lease")
                waiting.cancel()
                _ = await waiting.result
            }
        }
    }

    @Test func `a window and the processors that it waits for are shown`() async throws {
        try await withClient { client in
            try await create("/one/orders/signal", "owner=batch\nreason=nightly", with: client)
            try await create("/one/orders/locks/_c_\(Self.uuid)-__READ__0000000001", "name=web-1", with: client)
            try await create("/one/orders/locks/_c_\(Self.uuid)-__WRIT__0000000002", "batch", with: client)
            try await create("/one/orders/members/web-1-0b0c2a34", "name=web-1", with: client)
            let said = try await run("/one/orders")
            #expect(said.lines[0].hasPrefix("/one/orders: exclusive mode, held by batch since "), "\(said)")
            #expect(said.lines.contains("  processors that have not paused: 1"), "\(said)")
            #expect(said.lines.contains { $0.contains("a window waits for web-1") }, "\(said)")
            let queue = try await participants(object("/one/orders"))
            #expect(queue.map { $0["state"] as? String } == ["member", "waits"])
            #expect(queue.last?["waitsFor"] as? String == "#0 web-1")
        }
    }

    @Test func `an exclusive mode without a window has no holder`() async throws {
        try await withClient { client in
            try await create("/one/idle/locks/_c_\(Self.uuid)-__READ__0000000001", "name=web-1", with: client)
            try await create("/one/idle/members/web-1-0b0c2a34", "name=web-1", with: client)
            let said = try await run("/one/idle")
            #expect(said.lines[0] == "/one/idle: exclusive mode, no window", "\(said)")
            let object = try await object("/one/idle")
            #expect(object["holder"] == nil && object["since"] == nil && object["holders"] as? Int == 0)
            #expect(participants(object).map { $0["state"] as? String } == ["member"])
        }
    }

    @Test func `a scheduled task shows its leader, its runs and pending commands`() async throws {
        let node = try ProgramRun.start(
            ["schedule", "run", "/one/task", "--id", "s1", "--with-leadership", "--", "/bin/true"],
            connect: connection)
        while true {
            let said = try await run("/one/task")
            guard said.lines.contains(where: { $0.contains("completed") }) else { continue }
            #expect(said.lines[0].hasPrefix("/one/task: scheduled task, led by s1 since "), "\(said)")
            #expect(said.lines.contains("no operator commands are pending"), "\(said)")
            break
        }
        try node.terminate()
        try await node.waitForExit()
    }

    @Test func `kazoo's recipes are recognized`() async throws {
        try await withClient { client in
            try await create("/kazoo/lock/\(Self.hex)__lock__0000000000", "py-1", with: client)
            try await create("/kazoo/lock/\(Self.hex)__lock__0000000001", "py-2", with: client)
            let lock = try await object("/kazoo/lock")
            #expect(lock["kind"] as? String == "mutex" && lock["layouts"] as? [String] == ["kazoo"])
            #expect(lock["holder"] as? String == "py-1" && lock["waiting"] as? Int == 1)

            try await create("/kazoo/rw/\(Self.hex)__rlock__0000000000", "r", with: client)
            try await create("/kazoo/rw/\(Self.hex)__lock__0000000001", "w", with: client)
            #expect(try await object("/kazoo/rw")["kind"] as? String == "read-write-lock")

            try await client.create("/kazoo/semaphore", data: Array("1".utf8))
            try await create("/kazoo/semaphore/\(Self.hex)", "py-1", with: client)
            try await create("/kazoo/semaphore-__lock__/\(Self.hex)__lock__0000000003", "py-2", with: client)
            let semaphore = try await object("/kazoo/semaphore")
            #expect(semaphore["kind"] as? String == "semaphore" && semaphore["waiting"] as? Int == 1)
            #expect((semaphore["details"] as? [String: String])?["leases"] == "1 of 1")

            try await create("/kazoo/party/\(Self.hex)__party__", "py-1", with: client)
            let party = try await object("/kazoo/party")
            #expect(party["kind"] as? String == "group")
            #expect(participants(party).first?["id"] as? String == "py-1")

            try await create("/kazoo/barrier/\(Self.hex)", "py-1", with: client)
            let barrier = try await object("/kazoo/barrier")
            #expect(barrier["kind"] as? String == "double-barrier" && barrier["waiting"] as? Int == 1)

            // Both families in one queue do not exclude each other.
            try await create("/kazoo/lock/_c_\(Self.uuid)-lock-0000000009", "jvm", with: client)
            let mixed = try await run("/kazoo/lock")
            #expect(mixed.lines.contains { $0.hasPrefix("Note: participants with Curator's names") }, "\(mixed)")
        }
    }

    @Test func `barriers, groups and partition groups are recognized`() async throws {
        try await withClient { client in
            try await client.create("/many/barrier", data: Array("until 9".utf8), parents: true)
            let barrier = try await run("/many/barrier")
            #expect(barrier.lines.contains("  data: until 9") && barrier.status == .exited(0), "\(barrier)")

            try await create("/many/double/participant-\(Self.uuid)", with: client)
            let before = try await object("/many/double")
            #expect(participants(before).first?["state"] as? String == "waits")
            try await create("/many/double/ready", with: client)
            let after = try await object("/many/double")
            #expect(after["kind"] as? String == "double-barrier")
            #expect(participants(after).first?["state"] as? String == "inside")

            try await create("/many/group/web-1", with: client)
            try await create("/many/group/web-2", with: client)
            let group = try await run("/many/group")
            #expect(group.lines.first == "/many/group: group, 2 members", "\(group)")

            try await create("/many/shards/members/n1", with: client)
            try await create("/many/shards/partitions/p-epoch", "leader=n1\ncandidate=x", .persistent, with: client)
            let shards = try await run("/many/shards")
            #expect(shards.lines.first == "/many/shards: partition group, 1 member", "\(shards)")
            #expect(shards.lines.contains { $0.hasPrefix("PARTITION") }, "\(shards)")
        }
    }

    // MARK: Hostile and large

    @Test func `hostile names and data, long data and missing permissions do not stop the status`() async throws {
        let hostile = "a\u{1b}[2J\nroot: all is well\u{9b}2J\u{202e}"
        let secret = [ACL(permissions: .all, scheme: "digest", id: "ada:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
        try await withClient { client in
            try await create("/bad/lock/x\u{202e}-lock-0000000001", hostile, with: client)
            try await create("/bad/lock/y-lock-0000000002", "", with: client)
            try await client.setData([UInt8](repeating: 0x7a, count: 1_000_000), at: "/bad/lock/y-lock-0000000002")
            try await create("/bad/lock/z-lock-0000000003", "secret", acl: secret, with: client)
            try await create("/bad/lock/stuck-lock-0000000004", "", .persistent, with: client)
            try await create("/bad/refused", "", .persistent, acl: secret, with: client)
            for arguments in [["/bad/lock"], ["/bad/lock", "--json"], ["/bad"], ["/bad", "--json"]] {
                let said = try await ProgramRun(["status"] + arguments, connect: connection)
                #expect(said.status == .exited(0) && said.errors.isEmpty, "\(said)")
                let text = said.lines.joined()
                #expect(text.contains("all is well") && !said.lines.contains { $0.hasPrefix("root:") }, "\(said)")
                for scalar in ["\u{1b}", "\u{9b}", "\u{202e}"] as [Unicode.Scalar] {
                    #expect(!text.unicodeScalars.contains(scalar), "\(said)")
                }
                #expect(text.utf8.count < 20_000)
            }
            let said = try await run("/bad/lock")
            #expect(said.lines.contains { $0.contains("1,000,000 bytes") }, "\(said)")
            #expect(said.lines.contains { $0.contains("no permission to read") }, "\(said)")
            #expect(said.lines.contains { $0.hasPrefix("Note: stuck-lock-0000000004 is not ephemeral") }, "\(said)")
            let list = try await run("/bad")
            #expect(list.lines.contains("Note: no permission to list 1 znode: /bad/refused"), "\(list)")
            let refused = try await run("/bad/refused")
            #expect(refused.status == .exited(1) && refused.errors.count == 1, "\(refused)")
        }
    }

    @Test func `of thousands of participants, the first are shown and all are counted`() async throws {
        try await withClient { client in
            try await client.create("/wide", parents: true)
            for batch in 0..<30 {
                try await withThrowingDiscardingTaskGroup { group in
                    for index in 0..<100 {
                        group.addTask {
                            try await client.create(
                                "/wide/a-lock-\(String(1_000_000_000 + batch * 100 + index))", mode: .ephemeral)
                        }
                    }
                }
            }
            let said = try await run("/wide", "--limit", "2")
            #expect(said.lines[0].hasSuffix("; 2,999 wait"), "\(said)")
            #expect(said.lines.contains("2 of 3,000 participants are shown; --limit shows more."), "\(said)")
            #expect(said.lines.count == 6, "\(said)")
            let cut = try await run("/", "--max-znodes", "3")
            #expect(cut.lines.contains { $0.hasPrefix("Note: the list is cut: 3 znodes were read") }, "\(cut)")
        }
    }

    // MARK: Lists

    @Test func `a list has each recipe below a path once`() async throws {
        try await withClient { client in
            try await create("/tree/locks/a/_c_\(Self.uuid)-lock-0000000001", "one", with: client)
            try await create("/tree/app/leader/_c_\(Self.uuid)-lock-0000000001", "two", with: client)
            try await client.create("/tree/app/leader-epoch")
            try await create("/tree/app/leader-requests/x.y", with: client)
            try await create("/tree/app/orders/locks/_c_\(Self.uuid)-__READ__0000000001", with: client)
            try await create("/tree/app/orders/members/w", with: client)
            let list = try await object("/tree")
            let recipes = try #require(list["recipes"] as? [[String: Any]])
            #expect(
                recipes.map { "\($0["path"] ?? "") \($0["kind"] ?? "") \($0["holder"] ?? "-")" } == [
                    "/tree/app/leader leader-election two", "/tree/app/orders exclusive-mode -",
                    "/tree/locks/a mutex one",
                ])
            #expect(list["isComplete"] as? Bool == true)
            let shallow = try await run("/tree", "--depth", "1")
            #expect(shallow.status == .exited(1), "\(shallow)")
            #expect(shallow.lines.contains { $0.contains("--depth reads more") }, "\(shallow)")
        }
    }

    @Test func `a status writes nothing`() async throws {
        try await withClient { client in
            let mutex = try DistributedMutex(client: client, path: "/quiet/mutex", id: "a")
            let lease = try await mutex.tryAcquire()
            await lease.release()
            try await create("/quiet/lock/_c_\(Self.uuid)-lock-0000000001", "a", with: client)
            for path in ["/quiet", "/quiet/lock", "/quiet/mutex"] {
                let before = try await client.create("/before", mode: .ephemeral).stat.czxid
                _ = try await run(path)
                let after = try await client.create("/after", mode: .ephemeral).stat.czxid
                // The start and the end of the program's session, and the second znode.
                #expect(after.rawValue - before.rawValue == 3)
                try await client.delete("/before")
                try await client.delete("/after")
            }
        }
    }

    // MARK: Repetition and errors

    @Test func `a watch prints again until a signal`() async throws {
        let watch = try ProgramRun.start(
            ["status", "/watched", "--watch", "--interval", "100ms"], connect: connection)
        try await watch.line { $0.contains("/watched does not exist") }
        try await withClient { client in
            try await create("/watched/_c_\(Self.uuid)-lock-0000000001", "late", with: client)
            try await watch.line { $0.hasPrefix("/watched: mutex, held by late") }
        }
        try watch.terminate()
        #expect(try await watch.waitForExit() == .exited(0))
        for try await line in watch.lines { #expect(!line.unicodeScalars.contains("\u{1b}")) }
    }

    @Test func `a path without recipes fails, and a wrong argument is refused`() async throws {
        for arguments in [["/mistyped"], ["/mistyped", "--json"]] {
            let said = try await ProgramRun(["status"] + arguments, connect: connection)
            #expect(said.status == .exited(1) && said.lines.isEmpty && said.errors.count == 1, "\(said)")
            #expect(said.errors[0].contains("/mistyped does not exist"), "\(said)")
        }
        try await withClient { client in
            try await client.create("/plain/a/b", parents: true)
            let said = try await run("/plain")
            #expect(said.status == .exited(1), "\(said)")
            #expect(said.errors.first?.contains("/plain has no recipe below it") == true, "\(said)")
        }
        for arguments in [
            ["no-slash"], ["/a", "--limit", "0"], ["/a", "--depth", "0"], ["/a", "--interval", "0s"], [],
        ] {
            let said = try await ProgramRun(["status"] + arguments, connect: connection)
            #expect(said.status == .exited(64), "\(said)")
        }
        let dead = try await ProgramRun(["status", "/", "--connect-timeout", "1.2s"], connect: "127.0.0.1:9")
        #expect(dead.status == .exited(1), "\(dead)")
    }
}
