import Glibc
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Commands that run while their node leads an election.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct LeadCommandTests {
    private var connection: String { TestServer.current.connectionString }

    /// A shell's text that prints its term and its process ID, and ends when it receives SIGTERM.
    private static let service =
        "trap 'echo ended $ZK_TERM; exit 0' TERM; echo term $ZK_TERM $$; while :; do sleep 0.02; done"

    private func lead(_ path: String, _ options: String..., script: String) throws -> TestProcess {
        try ProgramRun.start(["lead", path] + options + ["--connect", connection, "--", "/bin/sh", "-c", script])
    }

    private func withClient(_ body: @escaping @Sendable (ZooKeeperClient) async throws -> Void) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection), operation: body)
    }

    /// Waits for the first line of the service in a term, and returns its process ID.
    private func serviceID(of process: TestProcess, term: Int) async throws -> Int32 {
        let line = try await process.line { $0.hasPrefix("term \(term) ") }
        return try #require(line.split(separator: " ").last.flatMap { Int32($0) })
    }

    private func isGone(_ id: Int32) -> Bool { kill(id, 0) != 0 }

    @Test func `the command receives its variables, and its status is that of the program`() async throws {
        let script = """
            echo "$ZK_LEADER_PATH $ZK_LEADER_ID $ZK_TERM"
            [ "$ZK_FENCING_TOKEN" -gt 0 ] && [ "$ZK_VALID_UNTIL_MONOTONIC" -gt 0 ] && echo "session $ZK_SESSION_ID"
            exit 7
            """
        let process = try lead("/lead/variables", "--id", "a", script: script)
        try await process.line { $0 == "/lead/variables a 1" }
        try await process.line { $0.hasPrefix("session 0x") }
        #expect(try await process.waitForExit() == .exited(7))
        try await withClient { client in
            let participants = try await LeaderSelector.participants(client: client, path: "/lead/variables")
            #expect(participants.isEmpty)
        }
        let success = try lead("/lead/variables", script: "true")
        #expect(try await success.waitForExit() == .exited(0))
        let missing = try ProgramRun.start([
            "lead", "/lead/variables", "--connect", connection, "--", "no-such-command",
        ])
        #expect(try await missing.waitForExit() == .exited(127))
    }

    @Test func `a lost leadership ends the command, which runs again in the next term`() async throws {
        let process = try lead("/lead/lost", "--id", "a", script: Self.service)
        let first = try await serviceID(of: process, term: 1)
        try await withClient { client in
            let leader = try #require(try await LeaderSelector.participants(client: client, path: "/lead/lost").first)
            try await client.delete("/lead/lost/\(leader.znode)")
        }
        try await process.line { $0 == "ended 1" }
        let second = try await serviceID(of: process, term: 2)
        #expect(isGone(first) && first != second)
        try process.terminate()
        try await process.line { $0 == "ended 2" }
        #expect(try await process.waitForExit() == .exited(0))
    }

    @Test func `a leader that is frozen or killed has no command when the next one starts`() async throws {
        let frozen = try lead(
            "/lead/frozen", "--id", "frozen", "--session-timeout", "2", "--grace", "600", script: Self.service)
        let first = try await serviceID(of: frozen, term: 1)
        let next = try lead("/lead/frozen", "--id", "next", script: Self.service)
        try await next.line { $0.contains("waiting behind 1") }
        try frozen.pause()
        let second = try await serviceID(of: next, term: 1)
        #expect(isGone(first))
        try frozen.resume()
        try await frozen.line { $0.contains("waiting behind 1") }
        await next.kill()
        let third = try await serviceID(of: frozen, term: 2)
        #expect(isGone(second))
        try frozen.terminate()
        try await frozen.line { $0 == "ended 2" }
        #expect(try await frozen.waitForExit() == .exited(0))
        #expect(isGone(third))
    }

    @Test func `a participant of a higher priority takes over after the command has ended`() async throws {
        let low = try lead("/lead/priority", "--id", "low", script: Self.service)
        let first = try await serviceID(of: low, term: 1)
        let high = try lead(
            "/lead/priority", "--id", "high", "--priority", "1", "--takeover-delay", "0", script: Self.service)
        _ = try await serviceID(of: high, term: 1)
        #expect(isGone(first))
        try await low.line { $0 == "ended 1" }
        try await low.line { $0.contains("waiting behind 1") }
        // It leads again when the other one leaves, with the status of a shell for a signal while it waits.
        try high.terminate()
        _ = try await serviceID(of: low, term: 2)
        #expect(try await high.waitForExit() == .exited(0))
        await low.kill()
    }

    @Test func `the wait ends after its limit, or by a signal`() async throws {
        try await withClient { client in
            try await withLeadership(client: client, path: "/lead/wait", id: "holder") { _ in
                let late = try lead("/lead/wait", "--wait", "200ms", script: "echo ran")
                try await late.line { $0.contains("was not acquired in time") }
                #expect(try await late.waitForExit() == .exited(121))
                let waiting = try lead("/lead/wait", script: "echo ran")
                try await waiting.line { $0.contains("waiting behind 1") }
                try waiting.terminate()
                #expect(try await waiting.waitForExit() == .exited(143))
                #expect(try await !waiting.output().contains("ran"))
            }
        }
    }

    @Test func `with restart, a command that ends runs again in the next term`() async throws {
        let process = try lead(
            "/lead/restart", "--restart", script: "echo term $ZK_TERM; [ $ZK_TERM = 1 ] && exit 5; exec sleep 600")
        try await process.line { $0 == "term 1" }
        try await process.line { $0.contains("exit status 5; this node rejoins the election") }
        try await process.line { $0 == "term 2" }
        try process.terminate()
        #expect(try await process.waitForExit() == .exited(143))
    }
}
