import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Mutexes held by processes of their own, for the commands that those run.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct LockCommandTests {
    private var connection: String { TestServer.current.connectionString }

    /// A shell's command that prints its token and goes on until it is told to end, which it prints as well.
    private static let obedient = "trap 'echo told; exit 0' TERM; echo $ZK_FENCING_TOKEN; while :; do sleep 0.02; done"

    private func lock(_ path: String, _ options: String..., script: String) throws -> TestProcess {
        try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: ["lock", path] + options + ["--connect", connection, "--", "/bin/sh", "-c", script])
    }

    private func token(of process: TestProcess) async throws -> Int64 {
        try #require(Int64(try await process.line { Int64($0) != nil }))
    }

    @Test func `a holder frozen beyond its session ends its command, and the other's token is higher`() async throws {
        let frozen = try lock("/frozen", "--session-timeout", "2", script: Self.obedient)
        let first = try await token(of: frozen)
        let other = try lock("/frozen", script: Self.obedient)
        try frozen.pause()
        let second = try await token(of: other)
        #expect(second > first)
        try frozen.resume()
        try await frozen.line { $0 == "told" }
        #expect(try await frozen.waitForExit() == .exited(122))
        try other.terminate()
        try await other.line { $0 == "told" }
        #expect(try await other.waitForExit() == .exited(0))
    }

    @Test func `a killed holder's command is killed, and who waits gets the mutex`() async throws {
        let killed = try lock("/killed", "--session-timeout", "2", script: "echo $ZK_FENCING_TOKEN; sleep 600")
        let first = try await token(of: killed)
        let other = try lock("/killed", script: "echo $ZK_FENCING_TOKEN")
        await killed.kill()
        // The output ends when nobody is left who could write to it.
        #expect(try await killed.output() == ["\(first)"])
        #expect(try await token(of: other) > first)
        #expect(try await other.waitForExit() == .exited(0))
    }

    @Test func `a holder killed during the grace takes the command with it that ignores its end`() async throws {
        let killed = try lock(
            "/grace", "--grace", "3600",
            script: "trap 'echo told' TERM; echo open; while :; do sleep 0.02; done")
        try await killed.line { $0 == "open" }
        try killed.terminate()
        try await killed.line { $0 == "told" }
        await killed.kill()
        // The output ends when nobody is left who could write to it.
        #expect(try await killed.output() == ["open", "told"])
    }

    @Test func `a command that does not end when the mutex is lost is killed after the grace`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let stubborn = try lock(
                "/stubborn", "--grace", "0.2", script: "trap '' TERM; echo open; while :; do sleep 0.02; done")
            try await stubborn.line { $0 == "open" }
            let mutex = try DistributedMutex(client: client, path: "/stubborn")
            let queue = try await mutex.queue()
            #expect(queue.map(\.participantID) == ["/bin/sh"])
            try await client.delete(queue[0].path)
            #expect(try await stubborn.waitForExit() == .exited(122))
            #expect(try await mutex.queue().isEmpty)
        }
    }

    @Test func `the command's status is the program's, and it finds its token and its path`() async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let command = try lock("/status", script: "echo $ZK_LOCK_PATH $ZK_FENCING_TOKEN; exit 7")
            let words = try await command.line { $0.hasPrefix("/status ") }.split(separator: " ")
            #expect(try await command.waitForExit() == .exited(7))
            let mutex = try DistributedMutex(client: client, path: "/status")
            #expect(try await mutex.queue().isEmpty)
            let lease = try await mutex.tryAcquire()
            #expect(try lease.fencingToken.rawValue > #require(Int64(words[1])))
            for patience in ["0", "0.2"] {
                let late = try lock("/status", "--wait", patience, script: "echo ran")
                #expect(try await late.output().isEmpty)
                #expect(try await late.waitForExit() == .exited(121))
            }
            #expect(try await mutex.queue().count == 1)
            await lease.release()
            let inTime = try lock("/status", "--wait", "20", script: "echo ran")
            #expect(try await inTime.output() == ["ran"])
            #expect(try await inTime.waitForExit() == .exited(0))
        }
    }

    @Test func `what is wrong with the command line is told before anything is asked for`() async throws {
        let wrong = [
            ["/", "--", "true"], ["locks", "--", "true"], ["/locks"], ["/locks", "--wait", "-1", "--", "true"],
            ["/locks", "--grace", "100000", "--", "true"],
        ]
        for arguments in wrong {
            let process = try TestProcess(
                TestProcess.path(ofProduct: "zkrecipes"), arguments: ["lock"] + arguments)
            #expect(try await process.waitForExit() == .exited(64))
        }
    }
}
