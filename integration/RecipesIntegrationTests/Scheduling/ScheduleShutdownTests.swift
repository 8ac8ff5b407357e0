import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What becomes of a run when its process shuts down gracefully.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct ScheduleShutdownTests {
    /// A node in a process that can be asked to shut down.
    private struct Node {
        let group: ServiceGroup
        let running: Task<Void, any Error>
        let task: ScheduledTask

        init(
            _ scene: ScheduleScene, _ schedule: Schedule, _ policy: ScheduledTask.Configuration.ShutdownPolicy,
            body: @escaping @Sendable (ScheduledRun) async throws -> Void
        ) throws {
            var configuration = ScheduledTask.Configuration()
            configuration.onGracefulShutdown = policy
            // Which does not count.
            configuration.leadership.onGracefulShutdown = policy == .finishRun ? .cancelTerm : .finishTerm
            let task = try ScheduledTask(
                client: scene.client, path: ScheduleScene.path, id: "near", name: "settle", schedule: schedule,
                delivery: .atLeastOnce, configuration: configuration, body: body)
            let group = ServiceGroup(services: [task], logger: Logger(label: "test"))
            (self.task, self.group) = (task, group)
            running = Task { try await group.run() }
        }

        func leads() async {
            for await state in task.states { if case .waiting = state { return } }
        }
    }

    @Test func `a run is let finish, its node begins no other one, and then gives its place up`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let end = OneShot<Void>()
            let node = try Node(scene, .everySecond, .finishRun) { run in
                notes.add(run.period.id)
                guard notes.all.count == 1 else { return }
                do { try await end.wait() } catch { notes.add("cancelled") }
                notes.add("ends, \(run.isValid ? "valid" : "invalid")")
            }
            await notes.count(1)
            let other = try scene.far(.everySecond) { notes.add("far \($0.period.id)") }
            await other.standsBy()
            await node.group.triggerGracefulShutdown()
            // It still has the schedule, and says of periods that begin that a run is on.
            try await scene.control().runNow()
            let known = try await scene.history().runs().count
            try await scene.runs { $0.count { $0.state == .skipped && $0.participantID == "near" } > known }
            #expect(notes.all.count == 1 && node.task.state == .running(period: notes.all[0], attempt: 1))
            end.set(())
            try await node.running.value
            #expect(node.task.state == .stopped)
            let run = try #require(try await scene.history().run(notes.all[0]))
            #expect(run.state == .completed && run.attempt == 1 && run.participantID == "near" && run.message == nil)
            // What was wanted meanwhile the next leader does.
            let requested = try await scene.run { $0.kind == .requested && $0.state == .completed }
            #expect(requested.participantID == "far" && requested.attempt == 1)
            #expect(notes.all[1] == "ends, valid" && notes.all[2...].allSatisfy { $0.hasPrefix("far ") })
            #expect(try await scene.history().nodes().map(\.id) == ["far"])
            try await other.stop()
        }
    }

    @Test func `a task that heeds the shutdown ends in order`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let node = try Node(scene, .onLeadership, .finishRun) { _ in
                notes.add("begins")
                try? await cancelWhenGracefulShutdown { try await OneShot<Void>().wait() }
                notes.add(Task.isCancelled ? "cancelled" : "ends")
            }
            await notes.count(1)
            await node.group.triggerGracefulShutdown()
            try await node.running.value
            #expect(notes.all == ["begins", "ends"])
            #expect(try await scene.history().runs().map(\.state) == [.completed])
        }
    }

    @Test func `a node that is cancelled while it finishes its run interrupts it`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let node = try Node(scene, .never, .finishRun) { _ in
                notes.add("begins")
                do { try await OneShot<Void>().wait() } catch {
                    notes.add("cancelled")
                    throw error
                }
            }
            await node.leads()
            try await scene.control().runNow()
            await notes.count(1)
            await node.group.triggerGracefulShutdown()
            node.running.cancel()
            _ = await node.running.result
            #expect(notes.all == ["begins", "cancelled"])
            #expect(try await scene.history().runs().map(\.state) == [.interrupted])
            #expect(try await scene.history().nodes().isEmpty)
        }
    }

    @Test(arguments: [ScheduledTask.Configuration.ShutdownPolicy.cancelRun, .finishRun])
    func `a node that runs nothing leaves at once`(_ policy: ScheduledTask.Configuration.ShutdownPolicy) async throws {
        try await ScheduleScene.with { scene in
            let leader = try Node(scene, .never, policy) { _ in }
            await leader.leads()
            let standby = try Node(scene, .never, policy) { _ in }
            for await state in standby.task.states { if case .standby(.some) = state { break } }
            await standby.group.triggerGracefulShutdown()
            try await standby.running.value
            #expect(try await scene.history().nodes().count == 1)
            await leader.group.triggerGracefulShutdown()
            try await leader.running.value
            #expect(try await scene.history().nodes().isEmpty)
        }
    }

    @Test func `by default a run is cancelled and awaited, and its record says that it was interrupted`() async throws {
        try await ScheduleScene.with { scene in
            let notes = Notes()
            let node = try Node(scene, .never, .cancelRun) { run in
                notes.add("begins")
                do { try await OneShot<Void>().wait() } catch {
                    notes.add("cancelled, \(run.isValid ? "valid" : "invalid")")
                    throw error
                }
            }
            await node.leads()
            try await scene.control().runNow()
            await notes.count(1)
            await node.group.triggerGracefulShutdown()
            try await node.running.value
            #expect(notes.all == ["begins", "cancelled, valid"])
            #expect(try await scene.history().runs().map(\.state) == [.interrupted])
            #expect(ScheduledTask.Configuration().onGracefulShutdown == .cancelRun)
        }
    }
}
