import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperSimulator

/// Calls of recipes while the ensemble is away for longer than the client's retry policy tries a single request.
///
/// The only server stops at 10 s and comes back at 40 s; a single request gives up after 2 s.
@Suite struct OutageTests {
    private static let stops = MonotonicInstant(nanoseconds: 10_000_000_000)
    private static let returns = MonotonicInstant(nanoseconds: 40_000_000_000)

    /// What became of a call that was made at 11 s, and when.
    private struct Report: Sendable {
        var outcome = "not ended"
        var ended = MonotonicInstant(nanoseconds: 0)
    }

    /// A server alone, and a process with a client.
    private static func makeScene(
        sessionTimeout: Duration
    ) throws -> (Simulation, SimulatedEnsemble, SimulatedProcess, ZooKeeperClient) {
        let simulation = Simulation(seed: 1)
        let ensemble = SimulatedEnsemble(in: simulation)
        let process = SimulatedProcess("p", in: simulation)
        var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "10.0.0.1", port: 2181)])
        configuration.sessionTimeout = sessionTimeout
        configuration.retry.timeout = .seconds(2)
        return (simulation, ensemble, process, try process.makeClient(of: ensemble, configuration: configuration))
    }

    /// Makes a call after the server has stopped.
    ///
    /// - Parameters:
    ///   - prepare: What is done before.
    ///   - call: The call, which is made at 11 s.
    /// - Returns: How it ended, and when.
    private static func call(
        preparing prepare: @escaping @Sendable (ZooKeeperClient) async throws -> Void = { _ in },
        _ call: @escaping @Sendable (ZooKeeperClient) async throws -> Void
    ) async throws -> (outcome: String, at: MonotonicInstant) {
        let report = try await onSimulationThread { () -> Report in
            let (simulation, ensemble, process, client) = try makeScene(sessionTimeout: .seconds(60))
            let ended = Broadcast(Report())
            process.start {
                try? await client.running { client in
                    try await prepare(client)
                    try await client.clock.sleep(until: stops + .seconds(1))
                    var report = Report()
                    do {
                        try await call(client)
                        report.outcome = "done"
                    } catch {
                        report.outcome = "\(error)"
                    }
                    report.ended = client.clock.now
                    ended.send(report)
                }
            }
            simulation.at(stops) { ensemble.stop(0) }
            simulation.at(returns) { ensemble.start(0) }
            simulation.run(until: returns + .seconds(600)) { process.isRunning }
            try #require(!process.isRunning && simulation.breakdown == nil)
            return ended.current
        }
        return (report.outcome, report.ended)
    }

    private struct Call: Sendable, CustomTestStringConvertible {
        var name: String
        var prepare: @Sendable (ZooKeeperClient) async throws -> Void = { _ in }
        var make: @Sendable (ZooKeeperClient) async throws -> Void
        var testDescription: String { name }
    }

    private static func counter(_ client: ZooKeeperClient) throws -> SharedCount {
        try SharedCount(client: client, path: "/counters/one", format: .int64)
    }

    private static func value(_ client: ZooKeeperClient) throws -> SharedValue {
        try SharedValue(client: client, path: "/values/one")
    }

    private static func task(_ client: ZooKeeperClient) async throws {
        try await client.create("/task/control", parents: true)
        try await client.create("/task/runs")
    }

    private static func group(_ client: ZooKeeperClient) async throws {
        try await client.create("/group/members", parents: true)
        try await client.create("/group/partitions")
    }

    private static let unlimited = [
        Call(name: "SharedCount.add") { try await counter($0).add(1) },
        Call(name: "SharedCount.add to a znode that exists", prepare: { _ = try await counter($0).value() }) {
            try await counter($0).add(1)
        },
        Call(name: "SharedCount.value") { _ = try await counter($0).value() },
        Call(name: "SharedCount.set") { _ = try await counter($0).set(1, replacing: 0) },
        Call(name: "SharedValue.value") { _ = try await value($0).value() },
        Call(name: "SharedValue.update") { _ = try await value($0).update { $0 + [1] } },
        Call(name: "DistributedBarrier.set") { try await DistributedBarrier(client: $0, path: "/barrier/one").set() },
        Call(name: "DistributedBarrier.remove") { try await DistributedBarrier(client: $0, path: "/b").remove() },
        Call(name: "DistributedBarrier.isSet") { _ = try await DistributedBarrier(client: $0, path: "/b").isSet() },
        Call(name: "DistributedBarrier.wait") { try await DistributedBarrier(client: $0, path: "/b").wait() },
        Call(name: "DistributedDoubleBarrier.withBarrier") {
            try await DistributedDoubleBarrier(client: $0, path: "/double", participantCount: 1).withBarrier {}
        },
        Call(name: "DistributedMutex.withLock") {
            try await DistributedMutex(client: $0, path: "/locks/one").withLock { _ in }
        },
        Call(name: "DistributedMutex.queue") { _ = try await DistributedMutex(client: $0, path: "/locks/one").queue() },
        Call(name: "DistributedReadWriteLock.queue") {
            _ = try await DistributedReadWriteLock(client: $0, path: "/locks/one").queue()
        },
        Call(name: "DistributedSemaphore.withLease") {
            try await DistributedSemaphore(client: $0, path: "/semaphores/one", limit: 1).withLease { _ in }
        },
        Call(name: "DistributedSemaphore.limit") {
            _ = try await DistributedSemaphore(client: $0, path: "/semaphores/one", limit: 1).limit()
        },
        Call(name: "DistributedSemaphore.setLimit") {
            try await DistributedSemaphore(client: $0, path: "/semaphores/one", limit: 1).setLimit(2)
        },
        Call(name: "DistributedSemaphore.queue") {
            _ = try await DistributedSemaphore(client: $0, path: "/semaphores/one", limit: 1).queue()
        },
        Call(name: "FencedNode.write") {
            try await FencedNode(client: $0, path: "/fenced/one").write([1], token: FencingToken(rawValue: 1))
        },
        Call(name: "FencedNode.read") { _ = try await FencedNode(client: $0, path: "/fenced/one").read() },
        Call(name: "LeaderSelector.participants") { _ = try await LeaderSelector.participants(client: $0, path: "/l") },
        Call(name: "LeaderSelector.leader") { _ = try await LeaderSelector.leader(client: $0, path: "/l") },
        Call(name: "PartitionGroup.cordon", prepare: group) {
            try await PartitionGroup.cordon("web1", client: $0, path: "/group")
        },
        Call(name: "PartitionGroup.uncordon", prepare: group) {
            try await PartitionGroup.uncordon("web1", client: $0, path: "/group")
        },
        Call(name: "PartitionGroup.status", prepare: group) {
            _ = try await PartitionGroup.status(client: $0, path: "/group")
        },
        Call(name: "ExclusiveMode.run") {
            try await ExclusiveMode(client: $0, path: "/mode").withWindow(reason: "test") { _ in }
        },
        Call(name: "ExclusiveMode.recentWindows") {
            _ = try await ExclusiveMode(client: $0, path: "/mode").recentWindows()
        },
        Call(name: "ExclusiveMode.status") { _ = try await ExclusiveMode(client: $0, path: "/mode").status() },
        Call(name: "ScheduledTaskHistory.runs") {
            _ = try await ScheduledTaskHistory(client: $0, path: "/task").runs()
        },
        Call(name: "ScheduledTaskControl.pause", prepare: task) {
            try await ScheduledTaskControl(client: $0, path: "/task", id: "ada").pause(reason: "test")
        },
    ]

    @Test(arguments: unlimited)
    private func `without a limit a call waits until the ensemble is back`(call: Call) async throws {
        let (outcome, end) = try await Self.call(preparing: call.prepare, call.make)
        #expect(outcome == "done")
        #expect(end >= Self.returns && end < Self.returns + .seconds(30))
    }

    private static func limited(_ limit: Duration) -> [Call] {
        [
            Call(name: "SharedCount.add") { try await counter($0).add(1, timeout: limit) },
            Call(name: "SharedCount.value") { _ = try await counter($0).value(timeout: limit) },
            Call(name: "SharedCount.set") { _ = try await counter($0).set(1, replacing: 0, timeout: limit) },
            Call(name: "SharedValue.value") { _ = try await value($0).value(timeout: limit) },
            Call(name: "SharedValue.update") { _ = try await value($0).update(timeout: limit) { $0 + [1] } },
            Call(name: "DistributedBarrier.wait") {
                try await DistributedBarrier(client: $0, path: "/b").wait(timeout: limit)
            },
            Call(name: "DistributedDoubleBarrier.withBarrier") {
                try await DistributedDoubleBarrier(client: $0, path: "/double", participantCount: 1)
                    .withBarrier(timeout: limit) {}
            },
            Call(name: "DistributedMutex.withLock") {
                try await DistributedMutex(client: $0, path: "/locks/one").withLock(timeout: limit) { _ in }
            },
            Call(name: "DistributedReadWriteLock.withReadLock") {
                try await DistributedReadWriteLock(client: $0, path: "/locks/one").withReadLock(timeout: limit) { _ in }
            },
            Call(name: "MultiLock.withLock") {
                let one = try DistributedMutex(client: $0, path: "/locks/one")
                let two = try DistributedMutex(client: $0, path: "/locks/two")
                try await MultiLock([.mutex(one), .mutex(two)]).withLock(timeout: limit) { _ in }
            },
            Call(name: "DistributedSemaphore.withLease") {
                try await DistributedSemaphore(client: $0, path: "/semaphores/one", limit: 1)
                    .withLease(timeout: limit) { _ in }
            },
            Call(name: "SharedCount.update") {
                _ = try await counter($0).update(timeout: limit) { $0 + 1 }
            },
        ]
    }

    @Test(arguments: limited(.seconds(60)))
    private func `a limit that is longer than the outage is waited for, whatever the retry policy is`(
        call: Call
    ) async throws {
        let (outcome, end) = try await Self.call(preparing: call.prepare, call.make)
        #expect(outcome == "done")
        #expect(end >= Self.returns && end < Self.returns + .seconds(30))
    }

    @Test(arguments: limited(.seconds(7)))
    private func `a limit ends a call though the ensemble is away`(call: Call) async throws {
        let (outcome, end) = try await Self.call(preparing: call.prepare, call.make)
        #expect(outcome.hasPrefix("timedOut"))
        #expect(end >= Self.stops + .seconds(8) && end < Self.stops + .seconds(9))
    }

    @Test func `a single request of the client itself still has the policy's deadline`() async throws {
        let (outcome, end) = try await Self.call { _ = try await $0.data(at: "/a") }
        #expect(outcome.hasPrefix("operationTimeout"))
        #expect(end < Self.stops + .seconds(4))
    }

    // MARK: Ending without servers

    private struct Holder: Sendable, CustomTestStringConvertible {
        var name: String
        /// Holds something, and calls a closure each time it does, until it is cancelled.
        var run: @Sendable (ZooKeeperClient, _ hold: @escaping @Sendable () async throws -> Void) async throws -> Void
        var testDescription: String { name }
    }

    private static func untilCancelled() async throws { try await OneShot<Void>().wait() }

    private static let calls = [
        Holder(name: "DistributedMutex.withLock") { client, hold in
            try await DistributedMutex(client: client, path: "/locks/one").withLock { _ in try await hold() }
        },
        Holder(name: "ExclusiveMode.run") { client, hold in
            try await ExclusiveMode(client: client, path: "/base").withWindow(reason: "test") { _ in try await hold() }
        },
    ]

    private static let services = [
        Holder(name: "EventGate") { client, hold in
            let gate = try ExclusiveMode(client: client, path: "/base").gate(id: "one")
            try await race({ try await gate.run() }) {
                while true {
                    // A permit that is lost ends its operation with an error; the next event waits for the gate.
                    do { try await gate.withPermit { _ in try await hold() } } catch { try Task.checkCancellation() }
                }
            }
        },
        Holder(name: "LeaderSelector") { client, hold in
            try await LeaderSelector(client: client, path: "/leader", id: "one") { _ in try await hold() }.run()
        },
        Holder(name: "PartitionGroup") { client, hold in
            try await PartitionGroup(
                client: client, path: "/group", node: PartitionNode("one"),
                partitions: .list([Partition("a"), Partition("b")])
            ) { _, _ in try await hold() }.run()
        },
        Holder(name: "ScheduledTask, while it runs") { client, hold in
            let start = client.clock.now
            try await ScheduledTask(
                client: client, path: "/task", id: "one", name: "task", schedule: .every(.seconds(2)),
                delivery: .atMostOnce, configuration: ScheduledTask.Configuration(), logger: client.logger,
                wallClock: { Timestamp(millisecondsSince1970: 1_750_000_000_000) + (client.clock.now - start) },
                body: { _ in try await hold() }
            ).run()
        },
    ]

    private static let membership = Holder(name: "GroupMembership") { client, _ in
        try await GroupMembership(client: client, path: "/members", id: "one").run()
    }

    @Test(arguments: calls + services + [membership])
    private func `what is told to end ends, also when no server comes back`(holder: Holder) async throws {
        let ended = try await onSimulationThread { () -> MonotonicInstant in
            let (simulation, ensemble, process, client) = try Self.makeScene(sessionTimeout: .seconds(4))
            process.start { try? await client.running { try await holder.run($0) { try await Self.untilCancelled() } } }
            simulation.at(Self.stops) { ensemble.stop(0) }
            simulation.at(Self.stops + .seconds(3)) { process.cancel() }
            simulation.run(until: Self.stops + .seconds(600)) { process.isRunning }
            try #require(simulation.breakdown == nil)
            return simulation.now
        }
        // The session timeout, and a few tries of requests that are given up after 2 s each.
        #expect(ended < Self.stops + .seconds(15))
    }

    // MARK: A long outage

    /// The spans for which something was held.
    private final class Spans: Sendable {
        private let spans = Mutex<[Range<MonotonicInstant>]>([])

        var all: [Range<MonotonicInstant>] { spans.withLock { $0 } }

        /// Holds until the task is cancelled.
        func hold(_ clock: any MonotonicClock) async throws {
            let begin = clock.now
            defer { spans.withLock { $0.append(begin..<clock.now) } }
            try await OutageTests.untilCancelled()
        }
    }

    @Test(arguments: services) private func `services end what they hold, and go on after an outage of an hour`(
        service: Holder
    ) async throws {
        let timeout = Duration.seconds(4)
        let spans = Spans()
        try await onSimulationThread {
            let (simulation, ensemble, process, client) = try Self.makeScene(sessionTimeout: timeout)
            process.start {
                try? await client.running { client in
                    try await service.run(client) { try await spans.hold(client.clock) }
                }
            }
            simulation.at(Self.stops) { ensemble.stop(0) }
            simulation.at(Self.stops + .seconds(3600)) { ensemble.start(0) }
            simulation.at(Self.stops + .seconds(3660)) { process.cancel() }
            simulation.run(until: Self.stops + .seconds(3700)) { process.isRunning }
            try #require(!process.isRunning && simulation.breakdown == nil)
        }
        let returned = Self.stops + .seconds(3600)
        let (before, after) = (
            spans.all.filter { $0.lowerBound < Self.stops }, spans.all.filter { $0.lowerBound >= returned }
        )
        #expect(!before.isEmpty && before.allSatisfy { $0.upperBound < Self.stops + timeout })
        #expect(!after.isEmpty && after.allSatisfy { $0.lowerBound < returned + .seconds(30) })
        #expect(before.count + after.count == spans.all.count)
    }

    @Test func `a member is back after an outage of an hour`() async throws {
        let ids = try await onSimulationThread { () -> [String] in
            let (simulation, ensemble, process, client) = try Self.makeScene(sessionTimeout: .seconds(4))
            process.start { try? await client.running { try await Self.membership.run($0) {} } }
            simulation.at(Self.stops) { ensemble.stop(0) }
            simulation.at(Self.stops + .seconds(3600)) { ensemble.start(0) }
            simulation.run(until: Self.stops + .seconds(3660))
            defer { simulation.end() }
            return ensemble.children(of: "/members")
        }
        #expect(ids == ["one"])
    }
}
