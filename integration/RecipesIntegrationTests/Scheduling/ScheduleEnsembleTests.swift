import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// Nodes in processes of their own on an ensemble of three, whose leading server ends together with the runner.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ScheduleEnsembleTests {
    private let path = "/app/settle"

    private func node(_ name: String, on ensemble: TestEnsemble, seconds: Double) throws -> TestProcess {
        try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: [
                "schedule", "run", path, "--id", name, "--cron", "0 0 29 2 *", "--rehearse", "\(seconds)",
                "--session-timeout", "4", "--connect", ensemble.connectionString, "--delivery", "at-least-once",
                "--takeover", "resume",
            ])
    }

    @Test(arguments: ScheduleProcessTests.Fault.allCases)
    func `a runner and the leading server are stopped in the middle: the run is completed once, by the other node`(
        _ fault: ScheduleProcessTests.Fault
    ) async throws {
        try await withTestEnsemble(members: 3) { ensemble in
            try await withZooKeeperClient(configuration: .init(connectionString: ensemble.connectionString)) { client in
                let history = try ScheduledTaskHistory(client: client, path: path)
                let runner = try node("runner", on: ensemble, seconds: 600)
                try await runner.line { $0.hasPrefix("waiting for") }
                let other = try node("other", on: ensemble, seconds: 0.05)
                try await other.line { $0 == "standby behind 1" }
                try await ScheduledTaskControl(client: client, path: path, id: "ada").runNow()
                try await runner.line { $0 == "checkpoint half" }
                let leader = try await ensemble.leader()
                if fault == .killed { _ = await runner.kill() } else { try runner.pause() }
                await leader.kill()
                try await other.line { $0.hasPrefix("begin ") && $0.hasSuffix(" half") }
                try await other.line { $0.hasPrefix("waiting for") }
                try await leader.start()
                try await ensemble.waitUntilServing()
                if fault == .frozen {
                    try runner.resume()
                    try await runner.line { $0.hasPrefix("standby behind") }
                }
                let runs = try await history.runs()
                #expect(runs.map(\.state) == [.completed])
                #expect(runs.map(\.attempt) == [2] && runs.map(\.participantID) == ["other"])
                #expect(runs.first?.previousAttempts.map(\.participantID) == ["runner"])
                _ = await runner.kill()
                try other.terminate()
                #expect(try await other.waitForExit() == .exited(0))
            }
        }
    }
}
