import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The kinds of locks under which a command runs.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct LockKindTests {
    private var connection: String { TestServer.current.connectionString }

    private func lock(_ path: String, _ options: String..., script: String) throws -> TestProcess {
        try ProgramRun.start(["lock", path] + options + ["--connect", connection, "--", "/bin/sh", "-c", script])
    }

    private static let open = "echo open $ZK_LOCK_PATH $ZK_FENCING_TOKEN; exec sleep 600"

    private func opens(_ process: TestProcess, _ path: String) async throws {
        try await process.line { $0.hasPrefix("open \(path) ") }
    }

    private func status(_ path: String) async throws -> [String] {
        try await ProgramRun(["status", path], connect: connection).lines
    }

    @Test func `readers share a lock, and a writer excludes them`() async throws {
        let path = "/kinds/catalogue"
        let readers = try [lock(path, "--read", script: Self.open), lock(path, "--read", script: Self.open)]
        for reader in readers { try await opens(reader, path) }
        let late = try lock(path, "--write", "--wait", "0", script: "echo ran")
        #expect(try await late.waitForExit() == .exited(121))
        let writer = try lock(path, "--write", script: Self.open)
        try await withZooKeeperClient(configuration: .init(connectionString: connection)) { client in
            let queue = try DistributedReadWriteLock(client: client, path: path)
            while try await queue.queue().count < 3 { try await Task.sleep(for: .milliseconds(5)) }
        }
        let lines = try await status(path)
        #expect(lines.contains { $0.contains("read-write lock") }, "\(lines)")
        #expect(lines.count { $0.contains(#/^[0-9]+ +holds +read /#) } == 2, "\(lines)")
        #expect(lines.count { $0.contains(#/^[0-9]+ +waits +write /#) } == 1, "\(lines)")
        for reader in readers {
            try reader.terminate()
            #expect(try await reader.waitForExit() == .exited(143))
        }
        try await opens(writer, path)
        let reader = try lock(path, "--read", "--wait", "100ms", script: "echo ran")
        #expect(try await reader.waitForExit() == .exited(121))
        await writer.kill()
    }

    @Test func `a semaphore has as many holders as its limit, which the first program stores`() async throws {
        let path = "/kinds/exports"
        let first = try lock(path, "--semaphore", "2", script: Self.open)
        try await opens(first, path)
        let second = try lock(path, "--semaphore", "5", script: Self.open)
        try await second.line { $0.contains("has 2 leases, which applies, not --semaphore 5") }
        try await opens(second, path)
        let third = try lock(path, "--semaphore", "2", "--wait", "0", script: "echo ran")
        #expect(try await third.waitForExit() == .exited(121))
        let lines = try await status(path)
        #expect(lines.contains { $0.contains("2 of 2") }, "\(lines)")
        #expect(lines.count { $0.contains(#/^[0-9]+ +holds +lease /#) } == 2, "\(lines)")
        await first.kill()
        await second.kill()
    }

    @Test func `a path whose participants use another kind of lock is refused`() async throws {
        let mutex = try lock("/kinds/mutex", script: Self.open)
        try await opens(mutex, "/kinds/mutex")
        let semaphore = try lock("/kinds/semaphore", "--semaphore", "1", script: Self.open)
        try await opens(semaphore, "/kinds/semaphore")
        for (path, options) in [
            ("/kinds/mutex", ["--read"]), ("/kinds/mutex", ["--semaphore", "1"]), ("/kinds/semaphore", []),
            ("/kinds/semaphore", ["--write"]),
        ] {
            let run = try await ProgramRun(["lock", path] + options + ["--", "echo", "ran"], connect: connection)
            #expect(run.status == .exited(64) && run.lines.isEmpty, "\(run)")
            #expect(run.errors.contains { $0.contains("\"\(path)\" is used as a ") }, "\(run)")
        }
        await mutex.kill()
        await semaphore.kill()
    }
}
