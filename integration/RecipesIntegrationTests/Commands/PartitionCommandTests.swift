import Glibc
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Commands that run for the partitions of their node.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct PartitionCommandTests {
    private var connection: String { TestServer.current.connectionString }

    /// A shell's text that works for a while after SIGTERM.
    private static let worker = """
        trap 'sleep 0.3; echo "ended $ZK_PARTITION $(date +%s%N)"; exit 0' TERM
        echo "began $ZK_PARTITION $(date +%s%N) $$ $ZK_PARTITION_GROUP $ZK_NODE_ID $ZK_FENCING_TOKEN"
        while :; do sleep 0.02; done
        """

    private func node(_ id: String, _ path: String, _ options: String..., script: String) throws -> TestProcess {
        try ProgramRun.start(
            ["partitions", "run", path, "--id", id, "--rebalance-delay", "0"] + options
                + ["--connect", connection, "--", "/bin/sh", "-c", script])
    }

    /// Waits for a line of a worker, and returns its words.
    private func words(_ process: TestProcess, _ prefix: String) async throws -> [String] {
        try await process.line { $0.hasPrefix(prefix) }.split(separator: " ").map(String.init)
    }

    @Test func `each partition has a command, which ends before another node's starts`() async throws {
        let path = "/workers/moves"
        let one = try node("one", path, "--partitions", "a,b", script: Self.worker)
        var ids: [String: Int32] = [:]
        for partition in ["a", "b"] {
            let began = try await words(one, "began \(partition) ")
            #expect(Array(began[4...5]) == [path, "one"] && Int64(began[6]) ?? 0 > 0)
            ids[partition] = Int32(began[3])
        }
        #expect(ids["a"] != ids["b"])
        let two = try node("two", path, "--partitions", "a,b", script: Self.worker)
        let began = try await words(two, "began ")
        let ended = try await words(one, "ended \(began[1]) ")
        let (end, start) = (try #require(Int64(ended[2])), try #require(Int64(began[2])))
        #expect(end <= start)
        let (moved, kept) = (try #require(ids[began[1]]), try #require(ids.first { $0.key != began[1] }))
        #expect(kill(moved, 0) != 0 && kill(kept.value, 0) == 0)
        // The other node takes over the rest when this one ends.
        try one.terminate()
        _ = try await words(one, "ended \(kept.key) ")
        #expect(try await one.waitForExit() == .exited(0))
        _ = try await words(two, "began \(kept.key) ")
        try two.terminate()
        #expect(try await two.waitForExit() == .exited(0))
        #expect(try await two.output().count { $0.hasPrefix("ended ") } == 2)
    }

    @Test func `a command that ends by itself is started again in the same term`() async throws {
        let process = try node(
            "one", "/workers/restart", "--partitions", "a", "--restart-delay", "10ms",
            script: "echo \"run $ZK_TERM $$\"; exit 3")
        var runs: Set<String> = []
        while runs.count < 3 {
            runs.insert(try await process.line { [runs] in $0.hasPrefix("run 1 ") && !runs.contains($0) })
            try await process.line { $0.contains("partition a: the command ended with exit status 3; it is started") }
        }
        try process.terminate()
        #expect(try await process.waitForExit() == .exited(0))
    }

    @Test func `a killed node has no commands, also those that ignore SIGTERM`() async throws {
        let process = try node(
            "one", "/workers/killed", "--partitions", "a,b", script: "trap '' TERM; echo began $ZK_PARTITION; sleep 600"
        )
        for partition in ["a", "b"] { try await process.line { $0 == "began \(partition)" } }
        await process.kill()
        // The output ends when no process is left that could write to it.
        #expect(try await process.output().count { $0.hasPrefix("began ") } == 2)
    }

    @Test func `a command that cannot be run is refused before the node joins`() async throws {
        let run = try await ProgramRun(
            ["partitions", "run", "/workers/none", "--id", "one", "--partitions", "a", "--", "no-such-command"],
            connect: connection)
        #expect(run.status == .exited(127), "\(run)")
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let group = try await client.exists(at: "/workers/none")
            #expect(group == nil)
        }
    }
}
