import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit

/// A run in a window that is lost in the middle of it.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ScheduleWindowTests {
    /// How a window is lost while its leader leads.
    enum Loss: Sendable, CaseIterable { case signalDeleted, writeLockDeleted, sessionExpired }

    /// Two processors, and what runs of the task tell of them.
    private struct Batch: Sendable {
        static let path = "/app/batch"

        let gates: [EventGate]
        let runners: [Task<Void, any Error>]
        let notes = Notes()

        init(_ client: ZooKeeperClient) async throws {
            let mode = try Self.mode(client)
            gates = ["p1", "p2"].map { mode.gate(id: $0) }
            runners = gates.map { gate in Task { try await gate.run() } }
            await isOpen()
        }

        static func mode(_ client: ZooKeeperClient) throws -> ExclusiveMode {
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .milliseconds(50)
            return try ExclusiveMode(client: client, path: path, configuration: configuration)
        }

        static func configuration(_ client: ZooKeeperClient) throws -> ScheduledTask.Configuration {
            var configuration = ScheduledTask.Configuration()
            configuration.exclusive = try mode(client)
            configuration.takeover = .resume
            return configuration
        }

        /// Waits until the processors process.
        func isOpen() async {
            for gate in gates { for await state in gate.states where state.isOpen { break } }
        }

        /// In the first attempt goes on until it is cancelled, and for as long after that as it is kept from ending.
        func body(_ mayEnd: OneShot<Void>) -> @Sendable (ScheduledRun) async throws -> Void {
            { run in
                let gates = gates.map { $0.state.isOpen ? "open" : "shut" }.joined(separator: " ")
                notes.add("begins \(run.attempt), \(run.lastCheckpoint ?? "-"), \(gates)")
                guard run.attempt == 1 else { return }
                try await run.checkpoint("half")
                notes.add("half")
                do { try await OneShot<Void>().wait() } catch {
                    notes.add("cancelled, \(run.isValid ? "valid" : "invalid")")
                    await Task { try? await mayEnd.wait() }.value
                    notes.add("ends")
                    throw error
                }
            }
        }

        func end() async {
            for runner in runners {
                runner.cancel()
                _ = await runner.result
            }
        }
    }

    private func lose(_ loss: Loss, of window: ZooKeeperClient, _ scene: ScheduleScene) async throws {
        switch loss {
        case .signalDeleted: try await scene.other.delete("\(Batch.path)/signal")
        case .writeLockDeleted:
            let names = try await scene.other.children(of: "\(Batch.path)/locks").names
            let write = try #require(names.first { $0.contains("__WRIT__") })
            try await scene.other.delete("\(Batch.path)/locks/\(write)")
        case .sessionExpired: try await scene.server.expireSession(of: window)
        }
    }

    @Test(arguments: Loss.allCases)
    func `a run whose window is lost is interrupted, and the next attempt has a window of its own`(
        _ loss: Loss
    ) async throws {
        try await ScheduleScene.with { scene in
            try await makeTestClient(scene.server.connectionString, sessionTimeout: .seconds(20)).running { client in
                try await lose(loss, client, scene)
            }
        }
    }

    /// - Parameter client: The one that opens windows, which is not the one that leads.
    private func lose(_ loss: Loss, _ client: ZooKeeperClient, _ scene: ScheduleScene) async throws {
        let batch = try await Batch(scene.other)
        let mayEnd = OneShot<Void>()
        let node = try scene.near(
            .never, .atLeastOnce, Batch.configuration(client), body: batch.body(mayEnd))
        await node.leads()
        try await scene.control().runNow()
        await batch.notes.count(2)
        // So that what is left of the run can be looked at.
        try await scene.control().pause(reason: "look")
        try await lose(loss, of: client, scene)
        await batch.notes.count(3)
        // It is awaited: its record says nothing yet.
        let begun = try #require(try await scene.history().runs().last)
        #expect(begun.state == .started && begun.attempt == 1 && begun.checkpoint == "half")
        mayEnd.set(())
        let left = try await scene.run { $0.state != .started }
        #expect(left.state == .interrupted && left.attempt == 1 && left.participantID == "near" && left.endedAt != nil)
        #expect(left.message?.hasPrefix("lost at \"\(Batch.path)\"") == true, "\(left.message ?? "")")
        await batch.isOpen()
        #expect(node.task.state != .standby(position: nil))

        try await scene.control().resume()
        let run = try await scene.run { $0.state == .completed && $0.window?.resumed != nil }
        #expect(run.period == left.period && run.attempt == 2 && run.participantID == "near" && run.term == left.term)
        #expect(run.previousAttempts.map(\.reason) == [left.message])
        #expect(try #require(run.token) > #require(left.token) && run.previousAttempts[0].token == left.token)
        #expect(run.window?.token == run.token && run.window?.processors == 2)
        let said = ["begins 1, -, shut shut", "half", "cancelled, invalid", "ends", "begins 2, half, shut shut"]
        #expect(batch.notes.all == said)
        await batch.isOpen()
        try await node.stop()
        await batch.end()
    }

    @Test func `with the runner's session its window goes too, and the next leader opens another`() async throws {
        try await ScheduleScene.with { scene in
            let batch = try await Batch(scene.other)
            let mayEnd = OneShot<Void>()
            mayEnd.set(())
            let first = try scene.near(
                .never, .atLeastOnce, Batch.configuration(scene.client), body: batch.body(mayEnd))
            await first.leads()
            let second = try scene.far(
                .never, .atLeastOnce, Batch.configuration(scene.other), body: batch.body(mayEnd))
            await second.standsBy()
            try await scene.control().runNow()
            await batch.notes.count(2)
            let begun = try #require(try await scene.history().runs().last)
            try await scene.server.expireSession(of: scene.client)
            let run = try await scene.run { $0.state == .completed && $0.window?.resumed != nil }
            #expect(run.participantID == "far" && run.attempt == 2)
            #expect(run.previousAttempts.map(\.reason) == ["near started the run and did not complete it"])
            #expect(try #require(run.token) > #require(begun.token) && run.previousAttempts[0].token == begun.token)
            #expect(try #require(run.window).token > #require(begun.window).token)
            await batch.notes.count(5)
            #expect(batch.notes.all.contains("cancelled, invalid"))
            #expect(batch.notes.all.contains("begins 2, half, shut shut"))
            let windows = try await Batch.mode(scene.other).recentWindows()
            #expect(windows.last?.outcome == .completed && windows.last?.reason == "settle \(run.period)")
            await batch.isOpen()
            try await first.stop()
            try await second.stop()
            await batch.end()
        }
    }
}
