import Glibc
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Programs whose output cannot be written, or whose reader has stopped reading.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct UnreadOutputTests {
    private var connection: String { TestServer.current.connectionString }

    /// Runs a shell's text in which `$0` is the program.
    private func shell(_ text: String) throws -> TestProcess {
        try TestProcess(
            "/bin/bash", arguments: ["-c", text, TestProcess.path(ofProduct: "zkrecipes")],
            environment: ["ZOOKEEPER_CONNECT": connection])
    }

    /// Makes a full pipe the descriptor 9, which nobody reads.
    private static let stuck = """
        f=$(mktemp -u); mkfifo $f; exec 9<>$f; rm $f; head -c 65536 /dev/zero >&9
        """

    private func withClient(_ body: (ZooKeeperClient) async throws -> Void) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { try await body($0) }
    }

    @Test(arguments: [">&9", "2>&9", ">&9 2>&9", "--log-format json 2>&9"])
    func `SIGTERM releases partitions and ends the program while nobody reads its output`(redirect: String)
        async throws
    {
        let path = "/stuck-\(redirect.utf8.count)"
        let node = try shell(
            """
            \(Self.stuck)
            exec "$0" partitions run \(path) --id a --partitions p,q --act-every 1ms --log-level debug \(redirect) \
                --rebalance-delay 0s
            """)
        try await withClient { client in
            for partition in ["p", "q"] {
                let changes = LeaderSelector.leaderChanges(client: client, path: "\(path)/partitions/\(partition)")
                for try await leader in changes where leader != nil { break }
            }
            try node.terminate()
            let start = ContinuousClock.now
            // Status 0, if the signal has come before the first line.
            #expect([.exited(0), .exited(1)].contains(try await node.waitForExit()))
            #expect(.now - start < .seconds(5))
            #expect(try await PartitionGroup.status(client: client, path: path).nodes.isEmpty)
        }
    }

    @Test func `SIGTERM ends a program that waits for its first connection while nobody reads its messages`()
        async throws
    {
        let waiting = try shell(
            "\(Self.stuck); exec \"$0\" leader run /l --id a --connect 127.0.0.1:9 --connect-timeout 1h 2>&9")
        // The program reports the wait after a second.
        try await Task.sleep(for: .seconds(2))
        try waiting.terminate()
        #expect(try await waiting.waitForExit() == .exited(1))
    }

    @Test func `a command waits for a slow reader, and SIGTERM ends that`() async throws {
        let slow = try shell("\"$0\" schedule next '* * * * *' --count 20000 | { sleep 2; wc -l; }")
        #expect(try await slow.output() == ["20000"])
        try await withClient { client in
            try await client.create("/slow/data", parents: true)
            let table = try shell(
                """
                \(Self.stuck); "$0" status /slow/data >&9 & p=$!
                sleep 2; kill -0 $p && echo waits; head -c 65536 <&9 >/dev/null; wait $p; echo "status $?"
                """)
            #expect(try await table.output() == ["waits", "status 0"])
            let ended = try shell(
                "\(Self.stuck); \"$0\" status /slow/data >&9 & p=$!; sleep 2; kill $p; wait $p; echo \"status $?\"")
            #expect(try await ended.output() == ["status 1"])
        }
    }

    @Test(arguments: ["status /full", "status /full --json", "exclusive status /full", "leader status /full/locks"])
    func `a watch ends if its output cannot be written`(command: String) async throws {
        try await withClient { client in
            if try await client.exists(at: "/full") == nil {
                try await client.create("/full/locks", parents: true)
                try await client.create("/full/windows")
            }
            let watch = try shell("exec \"$0\" \(command) --watch >/dev/full 2>&1")
            #expect(try await watch.waitForExit() == .exited(1))
        }
    }

    @Test(arguments: [
        "--version", "--help", "status /shut", "status / --json", "leader status /shut", "doctor",
        "schedule next '0 3 * * *'",
    ])
    func `a result for a closed standard output is a failure`(command: String) async throws {
        try await withClient { client in
            for name in ["/shut", "/shut/_c_00000000-0000-4000-8000-000000000000-lock-0000000000"]
            where try await client.exists(at: name) == nil {
                try await client.create(name)
            }
            let shut = try shell("exec \"$0\" \(command) 2>&1 >&-")
            try await shut.line { $0.contains("cannot write to standard output: Bad file descriptor") }
            #expect(try await shut.waitForExit() == .exited(1))
        }
    }

    @Test func `a program without results does not need standard output`() async throws {
        let silent = try shell("exec \"$0\" lock /silent -- sh -c 'echo dropped' 2>&1 >&-")
        #expect(try await silent.output().isEmpty)
        #expect(try await silent.waitForExit() == .exited(0))
    }

    @Test func `a program that holds something continues if its output cannot be written`() async throws {
        let leader = try shell("exec \"$0\" leader run /full/leader --id a --act-every 1ms 2>&1 >/dev/full")
        try await leader.line { $0.contains("cannot write to standard output") }
        try await Task.sleep(for: .milliseconds(500))
        #expect(leader.exitStatus == nil)
        try leader.terminate()
        #expect(try await leader.waitForExit() == .exited(1))
    }
}
