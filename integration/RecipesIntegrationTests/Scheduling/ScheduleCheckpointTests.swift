import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// Checkpoints that commands set.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ScheduleCheckpointTests {
    /// Prints the checkpoint that it got, writes another, and one more when it is told to end.
    private static let script = """
        echo "got ${ZK_CHECKPOINT-none}"; echo page-17 >$ZK_CHECKPOINT_FILE
        trap 'echo page-18 >$ZK_CHECKPOINT_FILE; exit 1' TERM
        while :; do sleep 0.02; done
        """

    private func node(_ name: String, on server: TestServer) throws -> TestProcess {
        try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: [
                "schedule", "run", ScheduleScene.path, "--id", name, "--cron", "0 0 29 2 *", "--takeover", "resume",
                "--session-timeout", "2", "--connect", server.connectionString, "--", "/bin/sh", "-c", Self.script,
            ],
            // One of an outer run is not the command's.
            environment: ["ZK_CHECKPOINT": "outer"])
    }

    @Test(arguments: [false, true])
    func `a command's checkpoint reaches the next attempt`(isKilled: Bool) async throws {
        try await ScheduleScene.with { scene in
            let first = try node("first", on: scene.server)
            try await first.line { $0.hasPrefix("waiting for") }
            try await scene.control().runNow()
            try await first.line { $0 == "got none" }
            _ = try await scene.run { $0.checkpoint == "page-17" }
            if isKilled { await first.kill() } else { try first.terminate() }
            _ = try await first.waitForExit()
            let second = try node("second", on: scene.server)
            try await second.line { $0 == (isKilled ? "got page-17" : "got page-18") }
            try second.terminate()
            #expect(try await second.waitForExit() == .exited(0))
        }
    }
}
