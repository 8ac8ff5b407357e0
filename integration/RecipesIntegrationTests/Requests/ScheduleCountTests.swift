import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The requests of a scheduled task; see ``RequestCountTests``.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct ScheduleCountTests {
    /// A node whose runs are held at each step, until they are let go.
    private struct Node: Sendable {
        let task: ScheduledTask
        let runner: Task<Void, any Error>
        private let steps = Broadcast<[TaskStep]>([])
        private let released = Broadcast<Int>(0)

        init(
            _ client: ZooKeeperClient, _ path: String, _ schedule: Schedule, exclusive: ExclusiveMode? = nil,
            isHeld: Bool = true, body: @escaping @Sendable (ScheduledRun) async throws -> Void = { _ in }
        ) throws {
            var configuration = ScheduledTask.Configuration()
            configuration.exclusive = exclusive
            configuration.maximumRecords = 3
            let (steps, released) = (steps, released)
            let task = try ScheduledTask(
                client: client, path: path, id: "one", name: "settle", schedule: schedule, delivery: .atLeastOnce,
                configuration: configuration, logger: client.logger, wallClock: { .now },
                atStep: { step, _ in
                    guard isHeld else { return }
                    let number = steps.current.count + 1
                    steps.send(steps.current + [step])
                    for await count in released.follow() where count >= number { break }
                }, body: body)
            self.task = task
            runner = Task { try await task.run() }
        }

        /// Waits until a run is held at a step.
        func stands(at step: TaskStep) async {
            for await steps in steps.follow() where steps.last == step && steps.count > released.current { return }
        }

        func letGo() { released.send(released.current + 1) }

        func leads() async {
            for await state in task.states { if case .waiting = state { return } }
        }

        /// Waits until it leads and has asked for all that a term begins with.
        func hasBegunTerm(_ scene: CacheScene) async throws {
            await leads()
            // What operators want is read, and followed from another read on.
            for _ in 0..<2 {
                let control = "\(task.path)/control"
                try await scene.proxy.nextRequest { $0.operation == .getData && $0.path == control }
            }
        }

        func standsBy() async {
            for await state in task.states { if case .standby(.some) = state { return } }
        }

        func stop() async throws {
            runner.cancel()
            try await runner.value
        }
    }

    /// Leaves a record of a run, which makes a later one that is kept too many.
    private func leaveRecord(_ name: String, of path: String, _ client: ZooKeeperClient) async throws {
        let record = "period=\(name)\nkind=requested\nstate=completed\nstart=2026-03-08T07:00:00Z\nterm=1\n"
        try await client.create("\(path)/runs/\(name)", data: Array(record.utf8), parents: true)
    }

    /// A node that leads, with its requests counted since, and whose schedule strikes once, in more than a second from then.
    private func leader(
        _ scene: CacheScene, _ asked: AskedRequests, exclusive: ExclusiveMode? = nil,
        body: @escaping @Sendable (ScheduledRun) async throws -> Void = { _ in }
    ) async throws -> Node {
        for seconds in [4, 9, 16] {
            let strike = Timestamp.now + .seconds(seconds)
            let schedule = try Schedule.every(.seconds(86_400), from: strike)
            let path = "/settle-\(seconds)"
            try await scene.other.create("\(path)/control", parents: true)
            let node = try Node(scene.client, path, schedule, exclusive: exclusive, body: body)
            try await node.hasBegunTerm(scene)
            try await asked.forget()
            // The instant at which it strikes is rounded down to a second.
            if strike - .now > .milliseconds(2500) { return node }
            try await node.stop()
        }
        throw TestKitError(.noResponse, "nobody leads within ten seconds")
    }

    @Test func `the run of a period, step by step, and a checkpoint`() async throws {
        try await AskedRequests.with { scene, asked in
            let (begun, end) = (OneShot<ScheduledRun>(), OneShot<Void>())
            let node = try await leader(scene, asked) { run in
                begun.set(run)
                try await end.wait()
            }
            await node.stands(at: .claimed)
            // The time of the ensemble, then the claim.
            let claimed = try await asked.all(2, watchesHeld: false).readingTimeOnce
            #expect(claimed == ["write", "multi"])
            node.letGo()
            await node.stands(at: .started)
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
            node.letGo()
            let run = try await begun.wait()
            #expect(try await asked.all(0, watchesHeld: false).isEmpty)
            try await run.checkpoint("half")
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
            try await run.transaction([.setData([1], at: "\(node.task.path)/clock")])
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
            end.set(())
            await node.stands(at: .ended)
            #expect(try await asked.all(0, watchesHeld: false).isEmpty)
            node.letGo()
            await node.stands(at: .recorded)
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
            node.letGo()
            await node.leads()
            #expect(try await asked.all(0, watchesHeld: false).isEmpty)
            try await node.stop()
        }
    }

    @Test func `a run whose record is one too many deletes the oldest`() async throws {
        try await AskedRequests.with { scene, asked in
            for number in 1...3 { try await leaveRecord("\(number)", of: "/settle", scene.other) }
            try await scene.other.create("/settle/control")
            let node = try Node(scene.client, "/settle", .never)
            try await node.hasBegunTerm(scene)
            try await ScheduledTaskControl(client: scene.other, path: "/settle", id: "ada").runNow()
            for step in TaskStep.allCases.dropLast() {
                await node.stands(at: step)
                node.letGo()
            }
            await node.stands(at: .recorded)
            try await asked.forget()
            node.letGo()
            await node.leads()
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
            #expect(try await scene.other.children(of: "/settle/runs").names.count == 3)
            try await node.stop()
        }
    }

    @Test func `who stands by asks for nothing, whatever runs`() async throws {
        try await AskedRequests.with { scene, asked in
            let notes = Notes()
            let leader = try Node(scene.other, "/settle", .everySecond, isHeld: false) { notes.add($0.period.id) }
            await leader.leads()
            let standby = try Node(scene.client, "/settle", .everySecond, isHeld: false)
            await standby.standsBy()
            try await asked.forget()
            await notes.count(notes.all.count + 3)
            #expect(try await asked.all(0).isEmpty)
            try await standby.stop()
            try await leader.stop()
        }
    }

    @Test func `taking over, with records to be read`() async throws {
        try await AskedRequests.with { scene, asked in
            let leader = try Node(scene.other, "/settle", .never, isHeld: false)
            await leader.leads()
            let control = try ScheduledTaskControl(client: scene.other, path: "/settle", id: "ada")
            let history = try ScheduledTaskHistory(client: scene.other, path: "/settle")
            try await withChildrenCache(client: scene.other, path: "/settle/runs") { cache in
                for _ in 0..<3 { try await control.runNow() }
                for await _ in cache.changes where try await history.runs().count(where: { !$0.state.isOpen }) == 3 {
                    break
                }
            }
            let standby = try Node(scene.client, "/settle", .never, isHeld: false)
            await standby.standsBy()
            try await asked.forget()
            try await leader.stop()
            await standby.leads()
            // The candidate in front went; the office is taken; since when there is a schedule, what operators want, twice as
            // one of the reads leaves a watch, and the records; the time of the ensemble.
            let all = try await asked.all(12, watchesHeld: false).readingTimeOnce
            #expect(all.prefix(4) == ["list", "unwatch", "read", "multi"] && all.count == 12, "\(all)")
            #expect(all.count { $0 == "read" } == 7 && all.count { $0 == "list" } == 2 && all.last == "write", "\(all)")
            try await standby.stop()
        }
    }

    @Test func `a run in a window costs the window's requests besides`() async throws {
        try await AskedRequests.with { scene, asked in
            let mode = try ExclusiveMode(client: scene.other, path: "/batch")
            let gate = mode.gate(id: "p1")
            let processor = Task { try await gate.run() }
            for await state in gate.states where state.isOpen { break }
            let node = try await leader(
                scene, asked, exclusive: ExclusiveMode(client: scene.client, path: "/batch"))
            await node.stands(at: .claimed)
            let claimed = try await asked.all(2, watchesHeld: false).readingTimeOnce
            #expect(claimed == ["write", "multi"])
            node.letGo()
            await node.stands(at: .started)
            // The window in one round trip; then, as it comes, a read for the processor, two to watch what is held, the beginning.
            let opened = try await asked.all(9, butIn: "\(node.task.path)/leader")
            #expect(opened.prefix(5) == ["multi", "read", "list", "list", "read"])
            #expect(opened.dropFirst(5).sorted() == ["multi", "read", "read", "read"])
            node.letGo()
            await node.stands(at: .ended)
            #expect(try await asked.all(0, watchesHeld: false).isEmpty)
            node.letGo()
            await node.stands(at: .recorded)
            #expect(try await asked.all(1, watchesHeld: false) == ["multi"])
            node.letGo()
            await node.leads()
            // The window's end, and the record of that.
            #expect(try await asked.all(2, watchesHeld: false) == ["multi", "multi"])
            try await node.stop()
            processor.cancel()
            _ = await processor.result
        }
    }

    @Test func `what operators want, and what it costs the leader`() async throws {
        try await AskedRequests.with { scene, asked in
            let far = try Node(scene.other, "/far", .never, isHeld: false)
            await far.leads()
            let control = try ScheduledTaskControl(client: scene.client, path: "/far", id: "ada")
            try await asked.forget()
            try await control.pause(reason: "x")
            #expect(try await asked.all(4) == ["sync", "read", "exists", "write"])
            _ = try await control.commands()
            #expect(try await asked.all(3) == ["sync", "read", "exists"])
            try await control.resume()
            #expect(try await asked.all(4) == ["sync", "read", "exists", "write"])
            try await far.stop()

            try await scene.other.create("/near/control", parents: true)
            let near = try Node(scene.client, "/near", .never)
            try await near.hasBegunTerm(scene)
            let operators = try ScheduledTaskControl(client: scene.other, path: "/near", id: "ada")
            try await asked.forget()
            try await operators.pause(reason: "x")
            for await state in near.task.states { if case .paused = state { break } }
            #expect(try await asked.all(1, watchesHeld: false) == ["read"])
            try await operators.resume()
            for await state in near.task.states { if case .waiting = state { break } }
            #expect(try await asked.all(1, watchesHeld: false) == ["read"])
            try await operators.runNow()
            await near.stands(at: .claimed)
            // The wish, and what is left of it after the claim has fulfilled it.
            let all = try await asked.all(3, watchesHeld: false).filter { $0 != "write" }
            #expect(all == ["read", "multi", "read"])
            for step in TaskStep.allCases {
                await near.stands(at: step)
                near.letGo()
            }
            try await near.stop()
        }
    }
}

extension [String] {
    /// As if each answer had come soon: one that is slow tells too little of the time, which is read again, at most twice.
    fileprivate var readingTimeOnce: [String] {
        var requests: [String] = []
        for request in self where request != "write" || requests.last != "write" { requests.append(request) }
        return requests
    }
}
