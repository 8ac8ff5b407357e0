import Foundation
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// Nodes in processes of their own, which are killed and frozen.
@Suite(.serialized, .timeLimit(.minutes(6)))
struct ScheduleProcessTests {
    private let path = "/app/settle"

    /// How the runner is stopped in the middle of its run.
    enum Fault: Sendable, CaseIterable { case killed, frozen }

    private func node(
        _ name: String, on server: TestServer, _ arguments: [String], seconds: Double = 600
    ) throws -> TestProcess {
        let common = [
            "schedule", "run", path, "--id", name, "--cron", "0 0 29 2 *", "--rehearse", "\(seconds)",
            "--session-timeout", "2", "--connect", server.connectionString,
        ]
        return try TestProcess(TestProcess.path(ofProduct: "zkrecipes"), arguments: common + arguments)
    }

    /// A server, a runner that was asked to run now, and a node that stands by.
    private func withNodes(
        _ arguments: [String],
        _ body:
            @escaping @Sendable (_ scene: ScheduleScene, _ runner: TestProcess, _ other: TestProcess) async throws ->
            Void
    ) async throws {
        try await ScheduleScene.with { scene in
            let runner = try node("runner", on: scene.server, arguments)
            try await runner.line { $0.hasPrefix("waiting for") }
            let other = try node("other", on: scene.server, arguments.withoutHold, seconds: 0.05)
            try await other.line { $0 == "standby behind 1" }
            try await scene.control().runNow()
            try await body(scene, runner, other)
            try? other.terminate()
            #expect(try await other.waitForExit() == .exited(0))
            _ = await runner.kill()
        }
    }

    private func acts(of process: TestProcess) async throws -> [Act] {
        try await process.output().compactMap(Act.init)
    }

    private struct Act {
        var token: Int64
        var isValid: Bool
        var time: Int64

        init?(_ line: String) {
            let words = line.split(separator: " ")
            guard words.count == 4, words[0] == "act", let token = Int64(words[1]), let time = Int64(words[3]) else {
                return nil
            }
            (self.token, isValid, self.time) = (token, words[2] == "valid", time)
        }
    }

    @Test(arguments: Fault.allCases, [TakeoverPolicy.rerun, .resume, .skip, .askOperator])
    func `a runner that is stopped in the middle is followed as the policy says`(
        _ fault: Fault, _ policy: TakeoverPolicy
    ) async throws {
        let delivery = policy == .skip ? "at-most-once" : "at-least-once"
        let words = policy == .askOperator ? "ask-operator" : policy.rawValue
        try await withNodes(["--delivery", delivery, "--takeover", words]) { scene, runner, other in
            try await runner.line { $0 == "checkpoint half" }
            try await runner.line { $0.hasPrefix("act ") }
            if fault == .killed { _ = await runner.kill() } else { try runner.pause() }
            if policy == .skip {
                let run = try await scene.run { !$0.state.isOpen }
                #expect(run.state == .abandoned && run.attempt == 1)
                #expect(run.message == "runner started the run and did not complete it")
            } else {
                if policy == .askOperator {
                    let run = try await scene.run { $0.state == .awaitingOperator }
                    try await scene.control().decide(run.period, .resume)
                }
                let run = try await scene.run { !$0.state.isOpen }
                #expect(run.state == .completed && run.attempt == 2 && run.participantID == "other")
                #expect(run.previousAttempts.map(\.participantID) == ["runner"])
                #expect(run.previousAttempts[0].reason.hasPrefix("runner started the run and did not complete it"))
                let checkpoint = policy == .rerun ? "-" : "half"
                try await other.line { $0.hasPrefix("begin ") && $0.hasSuffix(" \(checkpoint)") }
            }
            if fault == .frozen {
                let ended = try await scene.history().runs()
                try runner.resume()
                try await runner.line { $0.hasPrefix("standby behind") }
                #expect(try await scene.history().runs() == ended)
            }
            _ = await runner.kill()
            try other.terminate()
            let all = try await (acts(of: runner) + acts(of: other)).sorted { $0.time < $1.time }
            let valid = all.filter(\.isValid).map(\.token)
            #expect(valid == valid.sorted() && Set(valid).count == (policy == .skip ? 1 : 2))
        }
    }

    @Test(arguments: [TaskDelivery.atMostOnce, .atLeastOnce], TaskStep.allCases)
    func `a runner killed between two steps leaves no period undone or unexplained`(
        _ delivery: TaskDelivery, _ step: TaskStep
    ) async throws {
        let words = delivery == .atMostOnce ? "at-most-once" : "at-least-once"
        let arguments = ["--delivery", words, "--rehearse", "0.05", "--hold-at", step.rawValue]
        try await withNodes(arguments) { scene, runner, _ in
            try await runner.line { $0.hasPrefix("step \(step.rawValue) ") }
            _ = await runner.kill()
            let run = try await scene.run { !$0.state.isOpen }
            switch (step, delivery) {
            case (.claimed, _):
                // It was never begun: that is safe to do in both.
                #expect(run.state == .completed && run.attempt == 2 && run.participantID == "other")
                #expect(run.previousAttempts[0].reason == "runner claimed the run and did not start it")
            case (.started, .atLeastOnce), (.ended, .atLeastOnce):
                #expect(run.state == .completed && run.attempt == 2 && run.participantID == "other")
                #expect(run.previousAttempts[0].reason == "runner started the run and did not complete it")
            case (.started, .atMostOnce), (.ended, .atMostOnce):
                #expect(run.state == .abandoned && run.attempt == 1)
                #expect(run.message == "runner started the run and did not complete it")
            case (.recorded, _):
                #expect(run.state == .completed && run.attempt == 1 && run.participantID == "runner")
            }
        }
    }

    @Test func `a command runs once a period, and its failure is recorded`() async throws {
        try await ScheduleScene.with { scene in
            let arguments = ["schedule", "run", path, "--every", "1", "--connect", scene.server.connectionString]
            let node = try TestProcess(
                TestProcess.path(ofProduct: "zkrecipes"),
                arguments: arguments + [
                    "--id", "one", "--pause-on-failure", "--", "/bin/sh", "-c",
                    "echo ran $ZK_PERIOD $ZK_ATTEMPT; exit 3",
                ])
            let line = try await node.line { $0.hasPrefix("ran ") }
            let run = try await scene.run { $0.state == .failed }
            #expect(line == "ran \(run.period) 1")
            #expect(run.message == "the command ended with exit status 3")
            try await node.line { $0.hasPrefix("paused: ") }
            let history = try await program(
                "schedule", "history", path, "--connect", scene.server.connectionString
            ).output()
            #expect(history.contains { $0.hasPrefix("\(run.period)  failed  one  attempt 1  token ") })
            try node.terminate()
            #expect(try await node.waitForExit() == .exited(0))
        }
    }
}

extension [String] {
    /// Only the runner is held.
    fileprivate var withoutHold: [String] {
        guard let hold = firstIndex(of: "--hold-at") else { return self }
        return Array(self[..<hold] + self[(hold + 2)...])
    }
}
